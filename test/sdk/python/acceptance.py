"""The story of ../README.md, told by Microsoft's own Graph beta SDK for Python, unchanged.

Prints one JSON object per step: {"step": ..., "facts": ...}. Settings come from the environment; see ../sdks.ts.
"""

import asyncio
import json
import os
import time
import uuid
from typing import Any, Awaitable, Callable, Optional

from azure.identity import ClientSecretCredential
from kiota_abstractions.api_error import APIError
from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph_beta import GraphRequestAdapter, GraphServiceClient
from msgraph_beta.generated.models.key_value_pair import KeyValuePair
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_beta.generated.models.security_action import SecurityAction
from msgraph_beta.generated.models.security_vendor_information import SecurityVendorInformation
from msgraph_beta.generated.security.security_actions.item.security_action_item_request_builder import (
    SecurityActionItemRequestBuilder,
)
from msgraph_beta.generated.security.security_actions.security_actions_request_builder import (
    SecurityActionsRequestBuilder,
)
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem
from msgraph_core.tasks.page_iterator import PageIterator

MARKER = os.environ["RIPOSTE_MARKER"]
MARKED = "clientContext eq '" + MARKER.replace("'", "''") + "'"
BASE_URL = f"{os.environ['RIPOSTE_URL']}/beta"


class StaticToken(AccessTokenProvider):
    """A token that somebody else got."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_authorization_token(
        self, uri: str, additional_authentication_context: dict[str, Any] = {}
    ) -> str:
        return self._token

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


def client_with(token: str) -> GraphServiceClient:
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(StaticToken(token)))
    adapter.base_url = BASE_URL
    return GraphServiceClient(request_adapter=adapter)


graph = client_with(os.environ["RIPOSTE_TOKEN"])
actions = graph.security.security_actions


def milliseconds(time_of_day: Any) -> Optional[int]:
    return None if time_of_day is None else round(time_of_day.timestamp() * 1000)


def facts_of(action: Optional[SecurityAction]) -> Any:
    """The typed model, property by property."""
    if action is None:
        return None
    vendor, error = action.vendor_information, action.error_info
    return {
        "id": action.id,
        "name": action.name,
        "actionReason": action.action_reason,
        "clientContext": action.client_context,
        "appId": action.app_id,
        "azureTenantId": action.azure_tenant_id,
        "user": action.user,
        "status": None if action.status is None else action.status.value,
        "createdDateTime": milliseconds(action.created_date_time),
        "lastActionDateTime": milliseconds(action.last_action_date_time),
        "completedDateTime": milliseconds(action.completed_date_time),
        "parameters": None
        if action.parameters is None
        else [{"name": pair.name, "value": pair.value} for pair in action.parameters],
        "states": None
        if action.states is None
        else [
            {
                "status": None if state.status is None else state.status.value,
                "appId": state.app_id,
                "user": state.user,
                "updatedDateTime": milliseconds(state.updated_date_time),
            }
            for state in action.states
        ],
        "errorInfo": None
        if error is None
        else {"code": error.code, "subcode": error.subcode, "message": error.message},
        "vendorInformation": None
        if vendor is None
        else {
            "provider": vendor.provider,
            "providerVersion": vendor.provider_version,
            "subProvider": vendor.sub_provider,
            "vendor": vendor.vendor,
        },
    }


async def failure_of(request: Awaitable[Any]) -> Any:
    """How the SDK tells of a request that is refused."""
    try:
        await request
    except ODataError as error:
        main = error.error
        inner = main.inner_error if main else None
        return {
            "error": "ODataError",
            "status": error.response_status_code,
            "code": main.code if main else None,
            "message": main.message if main else None,
            "requestId": inner.request_id if inner else None,
            "date": milliseconds(inner.date) if inner else None,
        }
    except APIError as error:
        return {"error": "APIError", "status": error.response_status_code}
    return {"error": None}


def new_action(name: str, parameters: dict[str, str], context: Optional[str] = None) -> SecurityAction:
    return SecurityAction(
        name=name,
        action_reason="Test",
        client_context=context,
        parameters=[KeyValuePair(name=key, value=value) for key, value in parameters.items()],
        vendor_information=SecurityVendorInformation(provider="Mock", vendor="Mock"),
    )


async def create(name: str, parameters: dict[str, str], context: Optional[str] = None) -> SecurityAction:
    action = await actions.post(new_action(name, parameters, context))
    assert action is not None
    return action


async def when_status(action_id: Optional[str], *statuses: str) -> SecurityAction:
    until = time.monotonic() + 60
    while True:
        action = await actions.by_security_action_id(action_id or "").get()
        assert action is not None
        if action.status is not None and action.status.value in statuses:
            return action
        assert time.monotonic() < until, f"{action_id} is {action.status}, not one of {statuses}"
        await asyncio.sleep(0.05)


def options(**query: Any) -> RequestConfiguration:
    return RequestConfiguration(
        query_parameters=SecurityActionsRequestBuilder.SecurityActionsRequestBuilderGetQueryParameters(**query)
    )


class Story:
    """The steps, in order; each returns its facts."""

    async def create(self) -> Any:
        self.created = await create("BlockIp", {"IP": "1.2.3.4"}, MARKER)
        return facts_of(self.created)

    async def complete(self) -> Any:
        self.completed = await when_status(self.created.id, "Completed")
        return facts_of(self.completed)

    async def resend(self) -> Any:
        """The whole object that was read, read-only properties included."""
        return facts_of(await actions.post(self.completed))

    async def fail(self) -> Any:
        failing = await create("FailAlways", {"code": "404", "message": "No such machine."})
        return facts_of(await when_status(failing.id, "Failed"))

    async def cancel(self) -> Any:
        self.long = await create("LongRunning", {"durationMs": "600000"})
        await when_status(self.long.id, "Running")
        await actions.by_security_action_id(self.long.id or "").cancel_security_action.post()
        return facts_of(await when_status(self.long.id, "Failed", "Completed"))

    async def cancelAgain(self) -> Any:
        await actions.by_security_action_id(self.long.id or "").cancel_security_action.post()
        return facts_of(await when_status(self.long.id, "Failed"))

    async def cancelQualified(self) -> Any:
        other = await create("LongRunning", {"durationMs": "600000"})
        await when_status(other.id, "Running")
        builder = actions.by_security_action_id(other.id or "").cancel_security_action
        await builder.with_url(
            f"{BASE_URL}/security/securityActions/{other.id}/microsoft.graph.cancelSecurityAction"
        ).post()
        return facts_of(await when_status(other.id, "Failed", "Completed"))

    async def list(self) -> Any:
        page = await actions.get(options(top=2))
        assert page is not None and page.value is not None
        return {"actions": [facts_of(action) for action in page.value], "nextLink": page.odata_next_link}

    async def page(self) -> Any:
        first = await actions.get(options(top=2))
        seen: list[Optional[str]] = []
        iterator = PageIterator(first, graph.request_adapter, error_mapping={"XXX": ODataError})
        await iterator.iterate(lambda action: seen.append(action.id) or True)
        return {"ids": seen}

    async def notFound(self) -> Any:
        return await failure_of(actions.by_security_action_id(str(uuid.uuid4())).get())

    async def invalid(self) -> Any:
        nameless = new_action("BlockIp", {"IP": "1.2.3.4"})
        nameless.name = None
        return await failure_of(actions.post(nameless))

    async def unknownAction(self) -> Any:
        return await failure_of(actions.post(new_action("Levitate", {"IP": "1.2.3.4"})))

    async def badParameter(self) -> Any:
        return await failure_of(actions.post(new_action("BlockIp", {"IP": "1.2.3"})))

    async def tooLate(self) -> Any:
        return await failure_of(
            actions.by_security_action_id(self.completed.id or "").cancel_security_action.post()
        )

    async def readOnly(self) -> Any:
        reader = client_with(os.environ["RIPOSTE_READER_TOKEN"])
        return await failure_of(reader.security.security_actions.post(new_action("BlockIp", {"IP": "1.2.3.4"})))

    async def unauthenticated(self) -> Any:
        nobody = client_with("not.a.token")
        return await failure_of(nobody.security.security_actions.get())

    async def patch(self) -> Any:
        return await failure_of(actions.by_security_action_id(self.created.id or "").patch(SecurityAction()))

    async def delete(self) -> Any:
        return await failure_of(actions.by_security_action_id(self.created.id or "").delete())

    async def badOption(self) -> Any:
        return await failure_of(actions.get(options(filter="status equals 'Running'")))

    async def filter(self) -> Any:
        page = await actions.get(
            options(
                filter=f"{MARKED} and parameters/any(p:p/name eq 'IP' and p/value eq '1.2.3.4')",
                orderby=["createdDateTime asc"],
            )
        )
        return {"actions": [facts_of(action) for action in page.value]}

    async def select(self) -> Any:
        page = await actions.get(options(filter=MARKED, select=["id", "status"], top=1))
        config = RequestConfiguration(
            query_parameters=SecurityActionItemRequestBuilder.SecurityActionItemRequestBuilderGetQueryParameters(
                select=["id", "name"]
            )
        )
        one = await actions.by_security_action_id(self.created.id or "").get(config)
        return {"actions": [facts_of(action) for action in page.value], "one": facts_of(one)}

    async def count(self) -> Any:
        page = await actions.get(options(filter=MARKED, count=True, top=1))
        builder = actions.count
        config = RequestConfiguration(
            query_parameters=builder.CountRequestBuilderGetQueryParameters(filter=MARKED)
        )
        return {"inline": page.odata_count, "path": await builder.get(config)}

    async def search(self) -> Any:
        page = await actions.get(options(search=f'"{MARKER}"'))
        return {"actions": [facts_of(action) for action in page.value]}

    async def pageFiltered(self) -> Any:
        first = await actions.get(options(top=1, filter="status eq 'Failed'", orderby=["lastActionDateTime desc"]))
        seen: list[Any] = []
        iterator = PageIterator(first, graph.request_adapter, error_mapping={"XXX": ODataError})
        await iterator.iterate(lambda action: seen.append(facts_of(action)) or True)
        return {"actions": seen}

    async def batch(self) -> Any:
        content = BatchRequestContent()
        read = BatchRequestItem(
            actions.by_security_action_id(self.created.id or "").to_get_request_information(), id="read"
        )
        missing = BatchRequestItem(
            actions.by_security_action_id(str(uuid.uuid4())).to_get_request_information(), id="missing"
        )
        write = BatchRequestItem(
            actions.to_post_request_information(new_action("BlockIp", {"IP": "1.2.3.4"})), id="write"
        )
        for item in (read, missing, write):
            item.url = item.url.removeprefix(BASE_URL)  # which the SDK leaves there, and Graph does not understand
            content.add_request(item.id, item)
        answers = await BatchRequestBuilder(graph.request_adapter, {"XXX": ODataError}).post(content)
        # The SDK loses the bodies: it takes them for base64, and they are JSON.
        return {"statuses": answers.get_response_status_codes()}

    async def clientSecret(self) -> Any:
        """Microsoft's own credential gets the token, from Riposte as it would from Entra."""
        credential = ClientSecretCredential(
            os.environ["RIPOSTE_TENANT"],
            os.environ["RIPOSTE_CLIENT_ID"],
            os.environ["RIPOSTE_CLIENT_SECRET"],
            authority=os.environ["RIPOSTE_TLS_URL"],
            disable_instance_discovery=True,
        )
        adapter = GraphRequestAdapter(
            AzureIdentityAuthenticationProvider(credential, scopes=["api://riposte/.default"])
        )
        adapter.base_url = f"{os.environ['RIPOSTE_TLS_URL']}/beta"
        client = GraphServiceClient(request_adapter=adapter)
        action = await client.security.security_actions.post(new_action("BlockIp", {"IP": "1.2.3.4"}))
        return facts_of(action)


STEPS = [
    "create",
    "complete",
    "resend",
    "fail",
    "cancel",
    "cancelAgain",
    "cancelQualified",
    "list",
    "page",
    "notFound",
    "invalid",
    "unknownAction",
    "badParameter",
    "tooLate",
    "readOnly",
    "unauthenticated",
    "patch",
    "delete",
    "badOption",
    "filter",
    "select",
    "count",
    "search",
    "pageFiltered",
    "batch",
    "clientSecret",
]


async def main() -> None:
    story = Story()
    for step in STEPS:
        tell: Callable[[], Awaitable[Any]] = getattr(story, step)
        try:
            print(json.dumps({"step": step, "facts": await tell()}), flush=True)
        except Exception as error:  # told to the spec, which fails this step alone
            print(json.dumps({"step": step, "failed": f"{type(error).__name__}: {error}"}), flush=True)


asyncio.run(main())
