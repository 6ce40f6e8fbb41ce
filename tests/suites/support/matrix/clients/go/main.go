// The Go SDK's client.
// usage: client JOBS RESULTS; ../steps.mjs says what they are.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const deadline = 40 * time.Second

type target struct {
	Command   []string          `json:"command"`
	Env       map[string]string `json:"env"`
	URL       string            `json:"url"`
	Transport string            `json:"transport"`
}

type step struct {
	Key       string                     `json:"key"`
	Op        string                     `json:"op"`
	Of        string                     `json:"of"`
	Level     string                     `json:"level"`
	Name      string                     `json:"name"`
	URI       string                     `json:"uri"`
	Arguments map[string]any             `json:"arguments"`
	Ref       *mcp.CompleteReference     `json:"ref"`
	Argument  mcp.CompleteParamsArgument `json:"argument"`
}

type job struct {
	Server string `json:"server"`
	Target target `json:"target"`
	Steps  []step `json:"steps"`
}

type asked struct {
	Method string `json:"method"`
	Params any    `json:"params"`
}

// heard is what the server said of its own accord.
type heard struct {
	sync.Mutex
	logs     []any
	asked    []asked
	progress map[string][]any
	changes  map[string]int
	updates  []string
	more     chan struct{}
}

func (h *heard) add(what func()) {
	h.Lock()
	what()
	h.Unlock()
	select {
	case h.more <- struct{}{}:
	default:
	}
}

func (h *heard) until(ctx context.Context, holds func() bool) error {
	for {
		h.Lock()
		done := holds()
		h.Unlock()
		if done {
			return nil
		}
		select {
		case <-h.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func failure(err error) any {
	var wire *jsonrpc.Error
	code := any(nil)
	message := err.Error()
	if errors.As(err, &wire) {
		code, message = wire.Code, wire.Message
	}
	return map[string]any{"error": map[string]any{"code": code, "message": message}}
}

func options(h *heard) *mcp.ClientOptions {
	changed := func(of string) { h.add(func() { h.changes[of]++ }) }
	return &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, req *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			h.add(func() { h.asked = append(h.asked, asked{"sampling/createMessage", req.Params}) })
			return &mcp.CreateMessageResult{Role: "assistant", Model: "matrix", Content: &mcp.TextContent{Text: "sampled by the matrix"}, StopReason: "endTurn"}, nil
		},
		ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			h.add(func() { h.asked = append(h.asked, asked{"elicitation/create", req.Params}) })
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Elicited Person", "value": "elicited", "random": "elicited"}}, nil
		},
		ToolListChangedHandler:     func(context.Context, *mcp.ToolListChangedRequest) { changed("tools") },
		PromptListChangedHandler:   func(context.Context, *mcp.PromptListChangedRequest) { changed("prompts") },
		ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) { changed("resources") },
		ResourceUpdatedHandler: func(_ context.Context, req *mcp.ResourceUpdatedNotificationRequest) {
			h.add(func() { h.updates = append(h.updates, req.Params.URI) })
		},
		LoggingMessageHandler: func(_ context.Context, req *mcp.LoggingMessageRequest) {
			h.add(func() { h.logs = append(h.logs, req.Params) })
		},
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			token := fmt.Sprint(req.Params.ProgressToken)
			h.add(func() {
				h.progress[token] = append(h.progress[token], []any{req.Params.Progress, req.Params.Total, req.Params.Message})
			})
		},
	}
}

func transport(t target) mcp.Transport {
	if len(t.Command) > 0 {
		command := exec.Command(t.Command[0], t.Command[1:]...)
		command.Env = os.Environ()
		for name, value := range t.Env {
			command.Env = append(command.Env, name+"="+value)
		}
		return &mcp.CommandTransport{Command: command}
	}
	if t.Transport == "sse" {
		return &mcp.SSEClientTransport{Endpoint: t.URL}
	}
	return &mcp.StreamableClientTransport{Endpoint: t.URL}
}

func list(ctx context.Context, s *mcp.ClientSession, of string) (any, error) {
	items := []any{}
	add := func(item any, err error) bool {
		if err == nil {
			items = append(items, item)
		}
		return err == nil
	}
	var failed error
	switch of {
	case "tools":
		for item, err := range s.Tools(ctx, nil) {
			if failed = err; !add(item, err) {
				break
			}
		}
	case "prompts":
		for item, err := range s.Prompts(ctx, nil) {
			if failed = err; !add(item, err) {
				break
			}
		}
	case "resources":
		for item, err := range s.Resources(ctx, nil) {
			if failed = err; !add(item, err) {
				break
			}
		}
	case "templates":
		for item, err := range s.ResourceTemplates(ctx, nil) {
			if failed = err; !add(item, err) {
				break
			}
		}
	}
	return items, failed
}

var tokens int

func call(ctx context.Context, s *mcp.ClientSession, st step) (*mcp.CallToolResult, string, error) {
	tokens++
	token := fmt.Sprintf("matrix-%d", tokens)
	arguments := st.Arguments
	if arguments == nil {
		arguments = map[string]any{}
	}
	params := &mcp.CallToolParams{Name: st.Name, Arguments: arguments, Meta: mcp.Meta{"progressToken": token}}
	result, err := s.CallTool(ctx, params)
	return result, token, err
}

// modern is whether the session is of the newer era, which has no pings and no levels.
func modern(s *mcp.ClientSession) bool {
	return s.InitializeResult().ProtocolVersion == "2026-07-28"
}

func do(ctx context.Context, s *mcp.ClientSession, h *heard, st step) (any, error) {
	switch st.Op {
	case "initialize":
		said := s.InitializeResult()
		return map[string]any{"serverInfo": said.ServerInfo, "capabilities": said.Capabilities, "instructions": said.Instructions}, nil
	case "ping":
		if modern(s) {
			return map[string]any{}, nil
		}
		return map[string]any{}, s.Ping(ctx, nil)
	case "level":
		if modern(s) {
			return map[string]any{}, nil
		}
		return map[string]any{}, s.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(st.Level)})
	case "list":
		return list(ctx, s, st.Of)
	case "read":
		return s.ReadResource(ctx, &mcp.ReadResourceParams{URI: st.URI})
	case "prompt":
		values := map[string]string{}
		for name, value := range st.Arguments {
			values[name] = fmt.Sprint(value)
		}
		return s.GetPrompt(ctx, &mcp.GetPromptParams{Name: st.Name, Arguments: values})
	case "complete":
		return s.Complete(ctx, &mcp.CompleteParams{Ref: st.Ref, Argument: st.Argument})
	case "call":
		h.add(func() { h.logs, h.asked = []any{}, []asked{} })
		result, token, err := call(ctx, s, st)
		// Notifications are handled beside the call; what came before its result may be seen after it.
		time.Sleep(100 * time.Millisecond)
		h.Lock()
		defer h.Unlock()
		progress := h.progress[token]
		if progress == nil {
			progress = []any{}
		}
		said := map[string]any{"result": result, "progress": progress, "logs": h.logs, "asked": h.asked}
		if err != nil {
			said["result"] = failure(err)
		}
		return said, nil
	case "cancel":
		within, cancel := context.WithCancel(ctx)
		defer cancel()
		token := fmt.Sprintf("matrix-%d", tokens+1)
		go func() {
			_ = h.until(within, func() bool { return len(h.progress[token]) > 0 })
			cancel()
		}()
		if _, _, err := call(within, s, st); err != nil {
			return "cancelled", nil
		}
		return "answered", nil
	case "changed":
		before := h.changes[st.Of]
		if _, _, err := call(ctx, s, st); err != nil {
			return nil, err
		}
		if err := h.until(ctx, func() bool { return h.changes[st.Of] > before }); err != nil {
			return nil, err
		}
		return list(ctx, s, st.Of)
	case "updated":
		if err := s.Subscribe(ctx, &mcp.SubscribeParams{URI: st.URI}); err != nil {
			return nil, err
		}
		if _, _, err := call(ctx, s, st); err != nil {
			return nil, err
		}
		if err := h.until(ctx, func() bool { return len(h.updates) > 0 }); err != nil {
			return nil, err
		}
		return "heard", s.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: st.URI})
	}
	return nil, fmt.Errorf("no such step: %s", st.Op)
}

func session(j job) map[string]any {
	said := map[string]any{}
	h := &heard{progress: map[string][]any{}, changes: map[string]int{}, more: make(chan struct{}, 1), logs: []any{}, asked: []asked{}}
	client := mcp.NewClient(&mcp.Implementation{Name: "matrix", Version: "1.0.0"}, options(h))
	client.AddRoots(&mcp.Root{URI: "file:///matrix", Name: "matrix"})
	s, err := client.Connect(context.Background(), transport(j.Target), nil)
	if err != nil {
		said["connect"] = failure(err)
		return said
	}
	for _, st := range j.Steps {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		value, err := do(ctx, s, h, st)
		cancel()
		if err != nil {
			value = failure(err)
		}
		said[st.Key] = value
	}
	said["end"] = "ended"
	if err := s.Close(); err != nil {
		said["end"] = failure(err)
	}
	return said
}

func main() {
	var jobs []job
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &jobs)
	}
	results := map[string]any{}
	for _, j := range jobs {
		results[j.Server] = session(j)
	}
	if err == nil {
		text, err = json.MarshalIndent(results, "", " ")
	}
	if err == nil {
		err = os.WriteFile(os.Args[2], text, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
