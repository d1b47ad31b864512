//! async-openai, unmodified, through the gateway: what it makes of each operation, as one JSON object a line:
//! `{"name": …, "got": …}`. Its types are strict: an answer that lacks what the API promises is an error of theirs.

use std::env;
use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::InputSource;
use async_openai::types::audio::{AudioInput, CreateTranscriptionRequest};
use async_openai::types::responses::{OutputItem, ResponseStreamEvent};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

type Got = Result<Value, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let config =
        OpenAIConfig::new().with_api_base(variable("BASE_URL")).with_api_key(variable("API_KEY"));
    let driver = Driver { client: Client::with_config(config), model: variable("MODEL") };
    tell("chat", driver.chat().await);
    tell("stream", driver.stream().await);
    tell("tool", driver.tool().await);
    tell("embeddings", driver.embeddings().await);
    tell("models", driver.models().await);
    tell("upload", driver.upload().await);
    tell("moderation", driver.moderation().await);
    tell("response", driver.response().await);
    tell("response stream", driver.response_stream(json!({"input": "hi"})).await);
    let tools = json!([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]);
    let asked =
        json!({"input": "weather", "tools": tools, "include": ["reasoning.encrypted_content"]});
    tell("response items", driver.response_stream(asked).await);
    tell("typed error", driver.typed_error().await);
}

fn tell(name: &str, got: Got) {
    let got = got.unwrap_or_else(|error| json!(format!("failed: {error:?}")));
    eprintln!("rust: {name}");
    println!("{}", json!({"name": name, "got": got}));
}

/// A request of the client's own type.
fn request<T: DeserializeOwned>(members: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(members)
}

struct Driver {
    client: Client<OpenAIConfig>,
    model: String,
}

impl Driver {
    fn asked(&self, text: &str) -> Value {
        json!({"model": self.model, "messages": [{"role": "user", "content": text}]})
    }

    async fn chat(&self) -> Got {
        let got = self.client.chat().create(request(self.asked("hi"))?).await?;
        Ok(json!([got.choices[0].message.content, got.usage.ok_or("no usage")?.total_tokens]))
    }

    async fn stream(&self) -> Got {
        let mut events = self.client.chat().create_stream(request(self.asked("hi"))?).await?;
        let (mut text, mut pieces) = (String::new(), 0);
        while let Some(event) = events.next().await {
            for choice in event?.choices {
                text.extend(choice.delta.content);
            }
            pieces += 1;
        }
        Ok(json!([text, pieces > 1]))
    }

    async fn tool(&self) -> Got {
        let mut asked = self.asked("weather");
        asked["tools"] = json!([{"type": "function", "function": {"name": "weather"}}]);
        let got = self.client.chat().create(request(asked.clone())?).await?;
        let message = serde_json::to_value(&got.choices[0].message)?;
        let call = message["tool_calls"][0].clone();
        let messages = asked["messages"].as_array_mut().ok_or("no messages")?;
        messages.push(json!({"role": "assistant", "tool_calls": message["tool_calls"]}));
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"}));
        let got = self.client.chat().create(request(asked)?).await?;
        Ok(json!([
            call["function"]["name"],
            call["function"]["arguments"],
            got.choices[0].message.content
        ]))
    }

    async fn embeddings(&self) -> Got {
        let asked = json!({"model": self.model, "input": ["a", "b"]});
        let got = self.client.embeddings().create(request(asked)?).await?;
        Ok(json!([got.data.len(), got.data[1].embedding]))
    }

    async fn models(&self) -> Got {
        let got = self.client.models().list().await?;
        Ok(got.data.into_iter().map(|model| model.id).collect())
    }

    async fn upload(&self) -> Got {
        let source = InputSource::VecU8 { filename: "a.wav".to_owned(), vec: b"RIFF".to_vec() };
        let asked = CreateTranscriptionRequest {
            file: AudioInput { source },
            model: self.model.clone(),
            ..Default::default()
        };
        Ok(json!(self.client.audio().transcription().create(asked).await?.text))
    }

    async fn moderation(&self) -> Got {
        let got = self.client.moderations().create(request(json!({"input": "x"}))?).await?;
        Ok(json!(got.results[0].flagged))
    }

    async fn response(&self) -> Got {
        let asked = json!({"model": self.model, "input": "hi", "store": false});
        let got = self.client.responses().create(request(asked)?).await?;
        Ok(json!([got.output_text(), got.status]))
    }

    /// The text that streamed, the last event's type, and the types of the whole answer's items.
    async fn response_stream(&self, mut asked: Value) -> Got {
        asked["model"] = json!(self.model);
        asked["store"] = json!(false);
        asked["stream"] = json!(true);
        let mut events = self.client.responses().create_stream(request(asked)?).await?;
        let (mut text, mut last, mut items) = (String::new(), Value::Null, Vec::new());
        while let Some(event) = events.next().await {
            let event = event?;
            last = serde_json::to_value(&event)?["type"].take();
            match event {
                ResponseStreamEvent::ResponseOutputTextDelta(delta) => text.push_str(&delta.delta),
                ResponseStreamEvent::ResponseCompleted(done) => {
                    items = done.response.output.iter().map(kind).collect();
                }
                _ => {}
            }
        }
        Ok(json!([text, last, items]))
    }

    /// A model that a curated list does not have.
    async fn typed_error(&self) -> Got {
        let mut asked = self.asked("hi");
        asked["model"] = json!("listed/nothing");
        match self.client.chat().create(request(asked)?).await {
            Err(OpenAIError::ApiError(error)) => {
                let status = error.status_code.as_u16();
                let error = error.api_error;
                Ok(json!([status, error.r#type, error.code, error.param]))
            }
            other => Err(format!("not the client's error: {other:?}").into()),
        }
    }
}

fn kind(item: &OutputItem) -> &'static str {
    match item {
        OutputItem::Message(_) => "message",
        OutputItem::FunctionCall(_) => "function_call",
        OutputItem::Reasoning(_) => "reasoning",
        _ => "another",
    }
}
