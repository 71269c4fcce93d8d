package main

import (
	"time"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	ser "github.com/microsoft/kiota-abstractions-go/serialization"
)

// The models of security actions, as far as they are needed, in the form in which Microsoft's generator writes them:
// the typed beta SDK, which has them, is too large to be compiled for a test.

type fields = map[string]func(ser.ParseNode) error

type pair struct {
	Name  *string `json:"name"`
	Value *string `json:"value"`
}

func newPair(ser.ParseNode) (ser.Parsable, error) { return &pair{}, nil }

func (p *pair) Serialize(writer ser.SerializationWriter) error {
	return first(writer.WriteStringValue("name", p.Name), writer.WriteStringValue("value", p.Value))
}

func (p *pair) GetFieldDeserializers() fields {
	return fields{"name": into(&p.Name), "value": into(&p.Value)}
}

type vendorInformation struct {
	Provider        *string `json:"provider"`
	ProviderVersion *string `json:"providerVersion"`
	SubProvider     *string `json:"subProvider"`
	Vendor          *string `json:"vendor"`
}

func newVendorInformation(ser.ParseNode) (ser.Parsable, error) { return &vendorInformation{}, nil }

func (v *vendorInformation) Serialize(writer ser.SerializationWriter) error {
	return first(
		writer.WriteStringValue("provider", v.Provider),
		writer.WriteStringValue("providerVersion", v.ProviderVersion),
		writer.WriteStringValue("subProvider", v.SubProvider),
		writer.WriteStringValue("vendor", v.Vendor),
	)
}

func (v *vendorInformation) GetFieldDeserializers() fields {
	return fields{
		"provider":        into(&v.Provider),
		"providerVersion": into(&v.ProviderVersion),
		"subProvider":     into(&v.SubProvider),
		"vendor":          into(&v.Vendor),
	}
}

type resultInfo struct {
	Code    *int32  `json:"code"`
	Subcode *int32  `json:"subcode"`
	Message *string `json:"message"`
}

func newResultInfo(ser.ParseNode) (ser.Parsable, error) { return &resultInfo{}, nil }

func (r *resultInfo) Serialize(writer ser.SerializationWriter) error {
	return first(
		writer.WriteInt32Value("code", r.Code),
		writer.WriteInt32Value("subcode", r.Subcode),
		writer.WriteStringValue("message", r.Message),
	)
}

func (r *resultInfo) GetFieldDeserializers() fields {
	return fields{
		"code":    abstractions.SetInt32Value(func(value *int32) { r.Code = value }),
		"subcode": abstractions.SetInt32Value(func(value *int32) { r.Subcode = value }),
		"message": into(&r.Message),
	}
}

type state struct {
	Status          *string    `json:"status"`
	AppId           *string    `json:"appId"`
	User            *string    `json:"user"`
	UpdatedDateTime *time.Time `json:"-"`
	Updated         *int64     `json:"updatedDateTime"`
}

func newState(ser.ParseNode) (ser.Parsable, error) { return &state{}, nil }

func (s *state) Serialize(writer ser.SerializationWriter) error {
	return first(
		writer.WriteStringValue("status", s.Status),
		writer.WriteStringValue("appId", s.AppId),
		writer.WriteStringValue("user", s.User),
		writer.WriteTimeValue("updatedDateTime", s.UpdatedDateTime),
	)
}

func (s *state) GetFieldDeserializers() fields {
	return fields{
		"status":          into(&s.Status),
		"appId":           into(&s.AppId),
		"user":            into(&s.User),
		"updatedDateTime": timeInto(&s.UpdatedDateTime, &s.Updated),
	}
}

// securityAction is read, written, and printed as facts: the JSON form has times in milliseconds.
type securityAction struct {
	Id                 *string            `json:"id"`
	Name               *string            `json:"name"`
	ActionReason       *string            `json:"actionReason"`
	ClientContext      *string            `json:"clientContext"`
	AppId              *string            `json:"appId"`
	AzureTenantId      *string            `json:"azureTenantId"`
	User               *string            `json:"user"`
	Status             *string            `json:"status"`
	CreatedDateTime    *time.Time         `json:"-"`
	Created            *int64             `json:"createdDateTime"`
	LastActionDateTime *time.Time         `json:"-"`
	LastAction         *int64             `json:"lastActionDateTime"`
	CompletedDateTime  *time.Time         `json:"-"`
	Completed          *int64             `json:"completedDateTime"`
	Parameters         []ser.Parsable     `json:"parameters"`
	States             []ser.Parsable     `json:"states"`
	ErrorInfo          *resultInfo        `json:"errorInfo"`
	VendorInformation  *vendorInformation `json:"vendorInformation"`
}

func newSecurityAction(ser.ParseNode) (ser.Parsable, error) { return &securityAction{}, nil }

func (a *securityAction) Serialize(writer ser.SerializationWriter) error {
	if a.ErrorInfo != nil {
		if err := writer.WriteObjectValue("errorInfo", a.ErrorInfo); err != nil {
			return err
		}
	}
	return first(
		writer.WriteStringValue("id", a.Id),
		writer.WriteStringValue("name", a.Name),
		writer.WriteStringValue("actionReason", a.ActionReason),
		writer.WriteStringValue("clientContext", a.ClientContext),
		writer.WriteStringValue("appId", a.AppId),
		writer.WriteStringValue("azureTenantId", a.AzureTenantId),
		writer.WriteStringValue("user", a.User),
		writer.WriteStringValue("status", a.Status),
		writer.WriteTimeValue("createdDateTime", a.CreatedDateTime),
		writer.WriteTimeValue("lastActionDateTime", a.LastActionDateTime),
		writer.WriteTimeValue("completedDateTime", a.CompletedDateTime),
		writer.WriteCollectionOfObjectValues("parameters", a.Parameters),
		writer.WriteCollectionOfObjectValues("states", a.States),
		writer.WriteObjectValue("vendorInformation", a.VendorInformation),
	)
}

func (a *securityAction) GetFieldDeserializers() fields {
	return fields{
		"id":                 into(&a.Id),
		"name":               into(&a.Name),
		"actionReason":       into(&a.ActionReason),
		"clientContext":      into(&a.ClientContext),
		"appId":              into(&a.AppId),
		"azureTenantId":      into(&a.AzureTenantId),
		"user":               into(&a.User),
		"status":             into(&a.Status),
		"createdDateTime":    timeInto(&a.CreatedDateTime, &a.Created),
		"lastActionDateTime": timeInto(&a.LastActionDateTime, &a.LastAction),
		"completedDateTime":  timeInto(&a.CompletedDateTime, &a.Completed),
		"parameters":         manyInto(&a.Parameters, newPair),
		"states":             manyInto(&a.States, newState),
		"errorInfo":          objectInto(&a.ErrorInfo, newResultInfo),
		"vendorInformation":  objectInto(&a.VendorInformation, newVendorInformation),
	}
}

// actionPage has the accessors that the SDK's page iterator asks for.
type actionPage struct {
	nextLink *string
	count    *int64
	value    []ser.Parsable
}

func newActionPage(ser.ParseNode) (ser.Parsable, error) { return &actionPage{}, nil }

func (p *actionPage) GetOdataNextLink() *string { return p.nextLink }
func (p *actionPage) GetValue() []ser.Parsable  { return p.value }

func (p *actionPage) Serialize(ser.SerializationWriter) error { return nil }

func (p *actionPage) GetFieldDeserializers() fields {
	return fields{
		"@odata.nextLink": into(&p.nextLink),
		"@odata.count":    abstractions.SetInt64Value(func(value *int64) { p.count = value }),
		"value":           manyInto(&p.value, newSecurityAction),
	}
}

type innerError struct {
	requestId *string
	date      *time.Time
	at        *int64
}

func newInnerError(ser.ParseNode) (ser.Parsable, error) { return &innerError{}, nil }

func (e *innerError) Serialize(ser.SerializationWriter) error { return nil }
func (e *innerError) GetFieldDeserializers() fields {
	return fields{"request-id": into(&e.requestId), "date": timeInto(&e.date, &e.at)}
}

type mainError struct {
	code, message *string
	inner         *innerError
}

func newMainError(ser.ParseNode) (ser.Parsable, error) { return &mainError{}, nil }

func (e *mainError) Serialize(ser.SerializationWriter) error { return nil }
func (e *mainError) GetFieldDeserializers() fields {
	return fields{
		"code":       into(&e.code),
		"message":    into(&e.message),
		"innerError": objectInto(&e.inner, newInnerError),
	}
}

type oDataError struct {
	abstractions.ApiError
	main *mainError
}

func newODataError(ser.ParseNode) (ser.Parsable, error) {
	return &oDataError{ApiError: *abstractions.NewApiError()}, nil
}

func (e *oDataError) Serialize(ser.SerializationWriter) error { return nil }
func (e *oDataError) GetFieldDeserializers() fields {
	return fields{"error": objectInto(&e.main, newMainError)}
}

func into(target **string) func(ser.ParseNode) error {
	return abstractions.SetStringValue(func(value *string) { *target = value })
}

func timeInto(target **time.Time, milliseconds **int64) func(ser.ParseNode) error {
	return abstractions.SetTimeValue(func(value *time.Time) {
		*target = value
		if value != nil {
			at := value.UnixMilli()
			*milliseconds = &at
		}
	})
}

func objectInto[T any](target **T, factory ser.ParsableFactory) func(ser.ParseNode) error {
	return func(node ser.ParseNode) error {
		value, err := node.GetObjectValue(factory)
		if err == nil && value != nil {
			*target = value.(any).(*T)
		}
		return err
	}
}

func manyInto(target *[]ser.Parsable, factory ser.ParsableFactory) func(ser.ParseNode) error {
	return func(node ser.ParseNode) error {
		values, err := node.GetCollectionOfObjectValues(factory)
		*target = values
		return err
	}
}

func first(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}
