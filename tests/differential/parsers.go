// What Go's own parsers read: encoding/json into a struct, and mime/multipart. The protocol is that of scan/src/main.rs;
// beside an id, `null` says that the parser refuses or finds none.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"os"
)

func fromJSON(body []byte) *string {
	var request struct {
		Model *string `json:"model"`
	}
	if json.Unmarshal(body, &request) != nil {
		return nil
	}
	return request.Model
}

func fromForm(body []byte) *string {
	form, err := multipart.NewReader(bytes.NewReader(body), "XB").ReadForm(1 << 20)
	if err != nil || len(form.Value["model"]) == 0 {
		return nil
	}
	values := form.Value["model"]
	for _, value := range values {
		if value != values[0] {
			value = values[len(values)-1]
			return &value
		}
	}
	return &values[0]
}

func main() {
	input, output := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	defer output.Flush()
	for {
		var kind string
		var length int
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Sscanf(line, "%s %d", &kind, &length)
		body := make([]byte, length)
		io.ReadFull(input, body)
		id := fromForm
		if kind == "J" {
			id = fromJSON
		}
		text, _ := json.Marshal(id(body))
		output.Write(append(text, '\n'))
	}
}
