// The official SDK for Go, unmodified, through the gateway: what it makes of each operation, as one JSON
// object a line: {"name": …, "got": …}.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

var (
	model  = os.Getenv("MODEL")
	client = openai.NewClient(
		option.WithBaseURL(os.Getenv("BASE_URL")),
		option.WithAPIKey(os.Getenv("API_KEY")),
		option.WithMaxRetries(0),
	)
	ctx = context.Background()
)

func main() {
	for _, one := range []struct {
		name string
		run  func() (any, error)
	}{
		{"chat", chat},
		{"stream", stream},
		{"tool", tool},
		{"embeddings", embeddings},
		{"models", models},
		{"upload", upload},
		{"moderation", moderation},
		{"response", response},
		{"response stream", responseStream},
		{"typed error", typedError},
	} {
		fmt.Fprintln(os.Stderr, "go:", one.name)
		got, err := one.run()
		if err != nil {
			got = "failed: " + err.Error()
		}
		line, _ := json.Marshal(map[string]any{"name": one.name, "got": got})
		fmt.Println(string(line))
	}
}

func asked(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)},
	}
}

func chat() (any, error) {
	got, err := client.Chat.Completions.New(ctx, asked("hi"))
	if err != nil {
		return nil, err
	}
	return []any{got.Choices[0].Message.Content, got.Usage.TotalTokens}, nil
}

func stream() (any, error) {
	events := client.Chat.Completions.NewStreaming(ctx, asked("hi"))
	whole := openai.ChatCompletionAccumulator{}
	pieces := 0
	for events.Next() {
		whole.AddChunk(events.Current())
		pieces++
	}
	if events.Err() != nil {
		return nil, events.Err()
	}
	return []any{whole.Choices[0].Message.Content, pieces > 1}, nil
}

func tool() (any, error) {
	params := asked("weather")
	params.Tools = []openai.ChatCompletionToolUnionParam{
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "weather"}),
	}
	got, err := client.Chat.Completions.New(ctx, params)
	if err != nil {
		return nil, err
	}
	message := got.Choices[0].Message
	call := message.ToolCalls[0]
	params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage("sunny", call.ID))
	got, err = client.Chat.Completions.New(ctx, params)
	if err != nil {
		return nil, err
	}
	return []any{call.Function.Name, call.Function.Arguments, got.Choices[0].Message.Content}, nil
}

func embeddings() (any, error) {
	got, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: model,
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a", "b"}},
	})
	if err != nil {
		return nil, err
	}
	return []any{len(got.Data), got.Data[1].Embedding}, nil
}

func models() (any, error) {
	got, err := client.Models.List(ctx)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, one := range got.Data {
		ids = append(ids, one.ID)
	}
	return ids, nil
}

func upload() (any, error) {
	file := openai.File(bytes.NewReader([]byte("RIFF")), "a.wav", "audio/wav")
	got, err := client.Audio.Transcriptions.New(ctx, openai.AudioTranscriptionNewParams{Model: model, File: file})
	if err != nil {
		return nil, err
	}
	return got.Text, nil
}

func moderation() (any, error) {
	got, err := client.Moderations.New(ctx, openai.ModerationNewParams{
		Input: openai.ModerationNewParamsInputUnion{OfString: openai.String("x")},
	})
	if err != nil {
		return nil, err
	}
	return got.Results[0].Flagged, nil
}

func askedResponse() responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: model,
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hi")},
		Store: openai.Bool(false),
	}
}

func response() (any, error) {
	got, err := client.Responses.New(ctx, askedResponse())
	if err != nil {
		return nil, err
	}
	return []any{got.OutputText(), got.Status}, nil
}

func responseStream() (any, error) {
	events := client.Responses.NewStreaming(ctx, askedResponse())
	text, last := "", ""
	for events.Next() {
		event := events.Current()
		if event.Type == "response.output_text.delta" {
			text += event.Delta
		}
		last = event.Type
	}
	if events.Err() != nil {
		return nil, events.Err()
	}
	return []any{text, last}, nil
}

func typedError() (any, error) {
	params := asked("hi")
	params.Model = "listed/nothing" // a curated list without it
	_, err := client.Chat.Completions.New(ctx, params)
	var typed *openai.Error
	if !errors.As(err, &typed) {
		return nil, fmt.Errorf("not the SDK's error: %v", err)
	}
	return []any{typed.StatusCode, typed.Type, typed.Code, typed.Param}, nil
}
