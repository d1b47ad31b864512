// What Jackson reads into a class, and Tomcat of a form. The protocol is that of scan/src/main.rs; beside an id, `null` says
// that the parser refuses or finds none.

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import org.apache.tomcat.util.http.fileupload.FileItem;
import org.apache.tomcat.util.http.fileupload.FileUpload;
import org.apache.tomcat.util.http.fileupload.UploadContext;
import org.apache.tomcat.util.http.fileupload.disk.DiskFileItemFactory;

public class Parsers {
  @JsonIgnoreProperties(ignoreUnknown = true)
  public static class Request {
    public String model;
  }

  static final ObjectMapper ANY_CASE =
      JsonMapper.builder().enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_PROPERTIES).build();

  record Form(byte[] body) implements UploadContext {
    public long contentLength() {
      return body.length;
    }

    public String getCharacterEncoding() {
      return "UTF-8";
    }

    public String getContentType() {
      return "multipart/form-data; boundary=XB";
    }

    public InputStream getInputStream() {
      return new ByteArrayInputStream(body);
    }
  }

  static String fromForm(byte[] body) throws Exception {
    FileUpload upload = new FileUpload();
    DiskFileItemFactory factory = new DiskFileItemFactory();
    factory.setSizeThreshold(1 << 20);
    upload.setFileItemFactory(factory);
    upload.setFileCountMax(-1);
    List<String> values = new ArrayList<>();
    for (FileItem item : upload.parseRequest(new Form(body))) {
      if (item.isFormField() && "model".equals(item.getFieldName())) {
        values.add(item.getString("UTF-8"));
      }
    }
    // Whichever a server takes, another one is a second opinion.
    String first = values.isEmpty() ? null : values.get(0);
    for (String value : values) {
      if (!value.equals(first)) {
        return values.get(values.size() - 1);
      }
    }
    return first;
  }

  public static void main(String[] arguments) throws IOException {
    DataInputStream input = new DataInputStream(new BufferedInputStream(System.in));
    PrintStream output = new PrintStream(System.out, false, "UTF-8");
    ObjectMapper plain = new ObjectMapper();
    while (true) {
      StringBuilder line = new StringBuilder();
      int next;
      while ((next = input.read()) >= 0 && next != '\n') {
        line.append((char) next);
      }
      if (next < 0) {
        break;
      }
      String[] words = line.toString().split(" ");
      byte[] body = new byte[Integer.parseInt(words[1])];
      input.readFully(body);
      String id = null;
      try {
        id = words[0].equals("J") ? ANY_CASE.readValue(body, Request.class).model : fromForm(body);
      } catch (Exception | StackOverflowError refused) {
        id = null;
      }
      output.print(plain.writeValueAsString(id) + "\n");
    }
    output.flush();
  }
}
