"""Blocks an IP address, waits until it is done, and shows the newest actions: msgraph-beta-sdk against Riposte.

RIPOSTE_URL     where Riposte is, for example https://riposte.example.com
RIPOSTE_TENANT, RIPOSTE_CLIENT_ID, RIPOSTE_CLIENT_SECRET
                the application; or instead of them
RIPOSTE_TOKEN   a token that was made with `npm run token`
"""

import asyncio
import os
from typing import Any

from azure.identity import ClientSecretCredential
from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    AuthenticationProvider,
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph_beta import GraphRequestAdapter, GraphServiceClient
from msgraph_beta.generated.models.key_value_pair import KeyValuePair
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_beta.generated.models.operation_status import OperationStatus
from msgraph_beta.generated.models.security_action import SecurityAction
from msgraph_beta.generated.models.security_vendor_information import SecurityVendorInformation
from msgraph_beta.generated.security.security_actions.security_actions_request_builder import (
    SecurityActionsRequestBuilder,
)

URL = os.environ["RIPOSTE_URL"]
ENDED = (OperationStatus.Completed, OperationStatus.Failed)


class GivenToken(AccessTokenProvider):
    async def get_authorization_token(
        self, uri: str, additional_authentication_context: dict[str, Any] = {}
    ) -> str:
        return os.environ["RIPOSTE_TOKEN"]

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


def authentication() -> AuthenticationProvider:
    if "RIPOSTE_TOKEN" in os.environ:
        return BaseBearerTokenAuthenticationProvider(GivenToken())
    credential = ClientSecretCredential(
        os.environ["RIPOSTE_TENANT"],
        os.environ["RIPOSTE_CLIENT_ID"],
        os.environ["RIPOSTE_CLIENT_SECRET"],
        authority=URL,  # was login.microsoftonline.com
        disable_instance_discovery=True,  # which would ask login.microsoftonline.com about it
    )
    return AzureIdentityAuthenticationProvider(credential, scopes=["api://riposte/.default"])


async def main() -> None:
    adapter = GraphRequestAdapter(authentication())
    adapter.base_url = f"{URL}/beta"  # was https://graph.microsoft.com/beta
    actions = GraphServiceClient(request_adapter=adapter).security.security_actions

    action = await actions.post(
        SecurityAction(
            name="BlockIp",
            action_reason="Test",
            parameters=[KeyValuePair(name="IP", value="203.0.113.7")],
            vendor_information=SecurityVendorInformation(provider="Mock", vendor="Mock"),
        )
    )
    while action.status not in ENDED:
        await asyncio.sleep(0.2)
        action = await actions.by_security_action_id(action.id).get()
    reason = "" if action.error_info is None else f" ({action.error_info.code} {action.error_info.message})"
    print(f"{action.name} {action.parameters[0].value}: {action.status.value}{reason}")

    try:
        # What has ended as something else than cancelled cannot be cancelled any more.
        await actions.by_security_action_id(action.id).cancel_security_action.post()
    except ODataError as refusal:
        print(f"{refusal.response_status_code} {refusal.error.code}: {refusal.error.message}")

    newest = await actions.get(
        RequestConfiguration(
            query_parameters=SecurityActionsRequestBuilder.SecurityActionsRequestBuilderGetQueryParameters(top=5)
        )
    )
    for each in newest.value:
        print(each.created_date_time.isoformat(), each.name, each.status.value)


asyncio.run(main())
