// The story of ../README.md, told by the core of Microsoft's Graph SDKs for Go with its own middleware, unchanged.
// Prints one JSON object per step: {"step": ..., "facts": ...}. Settings come from the environment; see ../sdks.ts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	abstractions "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoft/kiota-abstractions-go/authentication"
	ser "github.com/microsoft/kiota-abstractions-go/serialization"
	kiotahttp "github.com/microsoft/kiota-http-go"
	kiotajson "github.com/microsoft/kiota-serialization-json-go"
	kiotatext "github.com/microsoft/kiota-serialization-text-go"
	graphcore "github.com/microsoftgraph/msgraph-sdk-go-core"
)

var (
	ctx         = context.Background()
	marker      = os.Getenv("RIPOSTE_MARKER")
	base        = os.Getenv("RIPOSTE_URL") + "/beta"
	collection  = base + "/security/securityActions"
	errorModels = abstractions.ErrorMappings{"4XX": newODataError, "5XX": newODataError}
)

// staticToken is a token that somebody else got.
type staticToken string

func (t staticToken) GetAuthorizationToken(context.Context, *url.URL, map[string]interface{}) (string, error) {
	return string(t), nil
}

func (t staticToken) GetAllowedHostsValidator() *authentication.AllowedHostsValidator {
	validator, _ := authentication.NewAllowedHostsValidatorErrorCheck(nil)
	return validator
}

// wire notes how each request with a body went out: that is where the SDK's compression shows.
type wire struct {
	next http.RoundTripper
	log  []string
}

func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(request)
	if err == nil && request.Method == http.MethodPost && request.Body != nil && request.Body != http.NoBody {
		encoding := request.Header.Get("Content-Encoding")
		if encoding == "" {
			encoding = "plain"
		}
		w.log = append(w.log, fmt.Sprintf("%s %d", encoding, response.StatusCode))
	}
	return response, err
}

type client struct {
	*graphcore.GraphRequestAdapterBase
	wire *wire
}

func clientWith(token string) *client {
	options := graphcore.GraphClientOptions{GraphServiceVersion: "beta"}
	wire := &wire{next: kiotahttp.GetDefaultTransport()}
	middlewares := graphcore.GetDefaultMiddlewaresWithOptions(&options)
	httpClient := &http.Client{Transport: kiotahttp.NewCustomTransportWithParentTransport(wire, middlewares...)}
	provider := authentication.NewBaseBearerTokenAuthenticationProvider(staticToken(token))
	adapter, err := graphcore.NewGraphRequestAdapterBaseWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		provider, options, nil, nil, httpClient)
	must(err)
	adapter.SetBaseUrl(base)
	return &client{adapter, wire}
}

func requestOf(method abstractions.HttpMethod, address string) *abstractions.RequestInformation {
	request := abstractions.NewRequestInformation()
	request.Method = method
	request.Headers.Add("Accept", "application/json")
	parsed, err := url.Parse(address)
	must(err)
	request.SetUri(*parsed)
	return request
}

func (c *client) post(action *securityAction) (*securityAction, error) {
	request := requestOf(abstractions.POST, collection)
	if err := request.SetContentFromParsable(ctx, c, "application/json", action); err != nil {
		return nil, err
	}
	return as[*securityAction](c.Send(ctx, request, newSecurityAction, errorModels))
}

func (c *client) get(id string, query string) (*securityAction, error) {
	return as[*securityAction](
		c.Send(ctx, requestOf(abstractions.GET, collection+"/"+id+query), newSecurityAction, errorModels))
}

func (c *client) list(options url.Values) (*actionPage, error) {
	address := collection + "?" + strings.ReplaceAll(options.Encode(), "+", "%20")
	return as[*actionPage](c.Send(ctx, requestOf(abstractions.GET, address), newActionPage, errorModels))
}

func (c *client) cancel(id string, segment string) error {
	return c.SendNoContent(ctx, requestOf(abstractions.POST, collection+"/"+id+"/"+segment), errorModels)
}

func (c *client) whenStatus(id string, statuses ...string) (*securityAction, error) {
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		action, err := c.get(id, "")
		if err != nil {
			return nil, err
		}
		if slices.Contains(statuses, *action.Status) {
			return action, nil
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("%s is %s", id, *action.Status)
		}
	}
}

// follow goes through all pages with the SDK's own iterator.
func (c *client) follow(page *actionPage, take func(*securityAction)) error {
	iterator, err := graphcore.NewPageIterator[ser.Parsable](page, c, newActionPage)
	if err != nil {
		return err
	}
	return iterator.Iterate(ctx, func(item ser.Parsable) bool {
		take(item.(*securityAction))
		return true
	})
}

func newAction(name string, context *string, parameters ...string) *securityAction {
	reason, mock := "Test", "Mock"
	action := &securityAction{
		Name: &name, ActionReason: &reason, ClientContext: context,
		VendorInformation: &vendorInformation{Provider: &mock, Vendor: &mock},
	}
	for index := 0; index < len(parameters); index += 2 {
		action.Parameters = append(action.Parameters, &pair{&parameters[index], &parameters[index+1]})
	}
	return action
}

// failureOf is how the SDK tells of a request that is refused.
func failureOf(err error) any {
	var failure *oDataError
	if err == nil {
		return map[string]any{"error": nil}
	}
	if !errors.As(err, &failure) || failure.main == nil || failure.main.inner == nil {
		return map[string]any{"error": fmt.Sprintf("%T: %v", err, err)}
	}
	return map[string]any{
		"error": "ODataError", "status": failure.ResponseStatusCode,
		"code": failure.main.code, "message": failure.main.message,
		"requestId": failure.main.inner.requestId, "date": failure.main.inner.at,
	}
}

type step struct {
	name string
	tell func() (any, error)
}

func story() []step {
	c := clientWith(os.Getenv("RIPOSTE_TOKEN"))
	marked := "clientContext eq '" + strings.ReplaceAll(marker, "'", "''") + "'"
	var created, completed, long *securityAction

	cancelled := func(id string, segment string) (any, error) {
		if err := c.cancel(id, segment); err != nil {
			return nil, err
		}
		return c.whenStatus(id, "Failed", "Completed")
	}
	running := func() (*securityAction, error) {
		action, err := c.post(newAction("LongRunning", nil, "durationMs", "600000"))
		if err != nil {
			return nil, err
		}
		return c.whenStatus(*action.Id, "Running")
	}
	refused := func(action *securityAction) (any, error) {
		_, err := c.post(action)
		return failureOf(err), nil
	}
	listed := func(options url.Values) (any, error) {
		page, err := c.list(options)
		if err != nil {
			return nil, err
		}
		return map[string]any{"actions": page.value, "nextLink": page.nextLink}, nil
	}

	return []step{
		{"create", func() (any, error) {
			var err error
			created, err = c.post(newAction("BlockIp", &marker, "IP", "1.2.3.4"))
			return created, err
		}},
		{"compressed", func() (any, error) { return map[string]any{"sent": c.wire.log}, nil }},
		{"complete", func() (any, error) {
			var err error
			completed, err = c.whenStatus(*created.Id, "Completed")
			return completed, err
		}},
		// The whole object that was read, read-only properties included.
		{"resend", func() (any, error) { return c.post(completed) }},
		{"fail", func() (any, error) {
			action, err := c.post(newAction("FailAlways", nil, "code", "404", "message", "No such machine."))
			if err != nil {
				return nil, err
			}
			return c.whenStatus(*action.Id, "Failed")
		}},
		{"cancel", func() (any, error) {
			var err error
			if long, err = running(); err != nil {
				return nil, err
			}
			return cancelled(*long.Id, "cancelSecurityAction")
		}},
		{"cancelAgain", func() (any, error) { return cancelled(*long.Id, "cancelSecurityAction") }},
		{"cancelQualified", func() (any, error) {
			other, err := running()
			if err != nil {
				return nil, err
			}
			return cancelled(*other.Id, "microsoft.graph.cancelSecurityAction")
		}},
		{"list", func() (any, error) { return listed(url.Values{"$top": {"2"}}) }},
		{"page", func() (any, error) {
			page, err := c.list(url.Values{"$top": {"2"}})
			if err != nil {
				return nil, err
			}
			ids := []string{}
			err = c.follow(page, func(action *securityAction) { ids = append(ids, *action.Id) })
			return map[string]any{"ids": ids}, err
		}},
		{"notFound", func() (any, error) {
			_, err := c.get(uuid.NewString(), "")
			return failureOf(err), nil
		}},
		{"invalid", func() (any, error) {
			nameless := newAction("", nil, "IP", "1.2.3.4")
			nameless.Name = nil
			return refused(nameless)
		}},
		{"unknownAction", func() (any, error) { return refused(newAction("Levitate", nil, "IP", "1.2.3.4")) }},
		{"badParameter", func() (any, error) { return refused(newAction("BlockIp", nil, "IP", "1.2.3")) }},
		{"tooLate", func() (any, error) {
			return failureOf(c.cancel(*completed.Id, "cancelSecurityAction")), nil
		}},
		{"readOnly", func() (any, error) {
			_, err := clientWith(os.Getenv("RIPOSTE_READER_TOKEN")).post(newAction("BlockIp", nil, "IP", "1.2.3.4"))
			return failureOf(err), nil
		}},
		{"unauthenticated", func() (any, error) {
			_, err := clientWith("not.a.token").list(url.Values{})
			return failureOf(err), nil
		}},
		{"patch", func() (any, error) {
			request := requestOf(abstractions.PATCH, collection+"/"+*created.Id)
			if err := request.SetContentFromParsable(ctx, c, "application/json", newAction("BlockIp", nil)); err != nil {
				return nil, err
			}
			_, err := c.Send(ctx, request, newSecurityAction, errorModels)
			return failureOf(err), nil
		}},
		{"delete", func() (any, error) {
			return failureOf(c.SendNoContent(
				ctx, requestOf(abstractions.DELETE, collection+"/"+*created.Id), errorModels)), nil
		}},
		{"badOption", func() (any, error) {
			_, err := c.list(url.Values{"$filter": {"status equals 'Running'"}})
			return failureOf(err), nil
		}},
		{"filter", func() (any, error) {
			return listed(url.Values{
				"$filter":  {marked + " and parameters/any(p:p/name eq 'IP' and p/value eq '1.2.3.4')"},
				"$orderby": {"createdDateTime asc"},
			})
		}},
		{"select", func() (any, error) {
			page, err := c.list(url.Values{"$filter": {marked}, "$select": {"id,status"}, "$top": {"1"}})
			if err != nil {
				return nil, err
			}
			one, err := c.get(*created.Id, "?$select=id,name")
			return map[string]any{"actions": page.value, "one": one}, err
		}},
		{"count", func() (any, error) {
			page, err := c.list(url.Values{"$filter": {marked}, "$count": {"true"}, "$top": {"1"}})
			if err != nil {
				return nil, err
			}
			address := collection + "/$count?$filter=" + url.PathEscape(marked)
			request := requestOf(abstractions.GET, address)
			request.Headers.Remove("Accept")
			request.Headers.Add("Accept", "text/plain;q=0.9")
			path, err := c.SendPrimitive(ctx, request, "int32", errorModels)
			return map[string]any{"inline": page.count, "path": path}, err
		}},
		{"search", func() (any, error) {
			return listed(url.Values{"$search": {`"` + marker + `"`}})
		}},
		{"pageFiltered", func() (any, error) {
			page, err := c.list(url.Values{
				"$filter": {"status eq 'Failed'"}, "$orderby": {"lastActionDateTime desc"}, "$top": {"1"},
			})
			if err != nil {
				return nil, err
			}
			seen := []*securityAction{}
			err = c.follow(page, func(action *securityAction) { seen = append(seen, action) })
			return map[string]any{"actions": seen}, err
		}},
		{"batch", func() (any, error) { return batch(c, *created.Id) }},
	}
}

func batch(c *client, id string) (any, error) {
	content := graphcore.NewBatchRequest(c)
	add := func(request *abstractions.RequestInformation) string {
		item, err := content.AddBatchRequestStep(*request)
		must(err)
		return *item.GetId()
	}
	read := add(requestOf(abstractions.GET, collection+"/"+id))
	missing := add(requestOf(abstractions.GET, collection+"/"+uuid.NewString()))
	creation := requestOf(abstractions.POST, collection)
	must(creation.SetContentFromParsable(ctx, c, "application/json", newAction("BlockIp", nil, "IP", "1.2.3.4")))
	write := add(creation)
	answers, err := content.Send(ctx, c)
	if err != nil {
		return nil, err
	}
	statuses := map[string]any{}
	for name, item := range map[string]string{"read": read, "missing": missing, "write": write} {
		statuses[name] = answers.GetResponseById(item).GetStatus()
	}
	readAction, err := graphcore.GetBatchResponseById[*securityAction](answers, read, newSecurityAction)
	if err != nil {
		return nil, err
	}
	_, refusal := graphcore.GetBatchResponseById[*securityAction](answers, missing, newSecurityAction)
	writtenAction, err := graphcore.GetBatchResponseById[*securityAction](answers, write, newSecurityAction)
	return map[string]any{
		"statuses": statuses, "read": readAction, "write": writtenAction, "missing": failureOf(refusal),
	}, err
}

func main() {
	abstractions.RegisterDefaultSerializer(func() ser.SerializationWriterFactory {
		return kiotajson.NewJsonSerializationWriterFactory()
	})
	abstractions.RegisterDefaultDeserializer(func() ser.ParseNodeFactory {
		return kiotajson.NewJsonParseNodeFactory()
	})
	// As the typed SDK's NewGraphServiceClient does: $count is answered in text.
	abstractions.RegisterDefaultDeserializer(func() ser.ParseNodeFactory {
		return kiotatext.NewTextParseNodeFactory()
	})
	must(graphcore.RegisterError(graphcore.BatchRequestErrorRegistryKey, errorModels))
	must(graphcore.RegisterError(graphcore.PageIteratorErrorRegistryKey, errorModels))
	for _, step := range story() {
		fmt.Println(lineOf(step))
	}
}

// lineOf tells a step; what goes wrong in it is told to the spec, which fails this step alone.
func lineOf(step step) (line string) {
	defer func() {
		if reason := recover(); reason != nil {
			line = encode(map[string]any{"step": step.name, "failed": fmt.Sprint(reason)})
		}
	}()
	facts, err := step.tell()
	if err != nil {
		return encode(map[string]any{"step": step.name, "failed": fmt.Sprintf("%T: %v", err, err)})
	}
	return encode(map[string]any{"step": step.name, "facts": facts})
}

func encode(value any) string {
	text, err := json.Marshal(value)
	must(err)
	return string(text)
}

func as[T any](value ser.Parsable, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return value.(any).(T), nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
