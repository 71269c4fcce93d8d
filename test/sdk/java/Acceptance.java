import com.fasterxml.jackson.databind.ObjectMapper;
import com.microsoft.graph.beta.models.KeyValuePair;
import com.microsoft.graph.beta.models.SecurityAction;
import com.microsoft.graph.beta.models.SecurityActionCollectionResponse;
import com.microsoft.graph.beta.models.SecurityVendorInformation;
import com.microsoft.graph.beta.models.odataerrors.ODataError;
import com.microsoft.graph.beta.security.securityactions.SecurityActionsRequestBuilder;
import com.microsoft.graph.beta.serviceclient.GraphServiceClient;
import com.microsoft.graph.core.content.BatchRequestContent;
import com.microsoft.graph.core.tasks.PageIterator;
import com.microsoft.kiota.ApiException;
import com.microsoft.kiota.authentication.AccessTokenProvider;
import com.microsoft.kiota.authentication.AllowedHostsValidator;
import com.microsoft.kiota.authentication.BaseBearerTokenAuthenticationProvider;
import java.net.URI;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * The story of ../README.md, told by Microsoft's own Graph beta SDK for Java, unchanged.
 * Prints one JSON object per step: {"step": ..., "facts": ...}. Settings come from the environment; see ../sdks.ts.
 */
public class Acceptance {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String MARKER = System.getenv("RIPOSTE_MARKER");
  private static final String BASE_URL = System.getenv("RIPOSTE_URL") + "/beta";

  private final GraphServiceClient graph = clientWith(System.getenv("RIPOSTE_TOKEN"));
  private final SecurityActionsRequestBuilder actions = graph.security().securityActions();
  private SecurityAction created;
  private SecurityAction completed;
  private SecurityAction longRunning;

  interface Step {
    Object tell() throws Exception;
  }

  /** A token that somebody else got. */
  record StaticToken(String token) implements AccessTokenProvider {
    @Override
    public String getAuthorizationToken(URI uri, Map<String, Object> context) {
      return token;
    }

    @Override
    public AllowedHostsValidator getAllowedHostsValidator() {
      return new AllowedHostsValidator();
    }
  }

  public static void main(String[] args) throws Exception {
    Acceptance story = new Acceptance();
    for (var step : story.steps().entrySet()) {
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("step", step.getKey());
      try {
        line.put("facts", step.getValue().tell());
      } catch (Exception error) { // told to the spec, which fails this step alone
        line.put("failed", error.toString());
      }
      System.out.println(JSON.writeValueAsString(line));
    }
    System.exit(0); // okhttp's threads would linger
  }

  private Map<String, Step> steps() {
    Map<String, Step> steps = new LinkedHashMap<>();
    steps.put("create", () -> {
      created = create("BlockIp", Map.of("IP", "1.2.3.4"), MARKER);
      return factsOf(created);
    });
    steps.put("complete", () -> {
      completed = whenStatus(created.getId(), "Completed");
      return factsOf(completed);
    });
    // The whole object that was read, read-only properties included.
    steps.put("resend", () -> factsOf(actions.post(asNew(completed))));
    steps.put("fail", () -> {
      Map<String, String> parameters = new LinkedHashMap<>();
      parameters.put("code", "404");
      parameters.put("message", "No such machine.");
      return factsOf(whenStatus(create("FailAlways", parameters, null).getId(), "Failed"));
    });
    steps.put("cancel", () -> {
      longRunning = create("LongRunning", Map.of("durationMs", "600000"), null);
      whenStatus(longRunning.getId(), "Running");
      actions.bySecurityActionId(longRunning.getId()).cancelSecurityAction().post();
      return factsOf(whenStatus(longRunning.getId(), "Failed", "Completed"));
    });
    steps.put("cancelAgain", () -> {
      actions.bySecurityActionId(longRunning.getId()).cancelSecurityAction().post();
      return factsOf(whenStatus(longRunning.getId(), "Failed"));
    });
    steps.put("cancelQualified", () -> {
      SecurityAction other = create("LongRunning", Map.of("durationMs", "600000"), null);
      whenStatus(other.getId(), "Running");
      actions
          .bySecurityActionId(other.getId())
          .cancelSecurityAction()
          .withUrl(BASE_URL + "/security/securityActions/" + other.getId() + "/microsoft.graph.cancelSecurityAction")
          .post();
      return factsOf(whenStatus(other.getId(), "Failed", "Completed"));
    });
    steps.put("list", () -> {
      SecurityActionCollectionResponse page = actions.get(request -> request.queryParameters.top = 2);
      Map<String, Object> facts = actionsOf(page);
      facts.put("nextLink", page.getOdataNextLink());
      return facts;
    });
    steps.put("page", () -> {
      List<String> seen = new ArrayList<>();
      follow(actions.get(request -> request.queryParameters.top = 2), action -> seen.add(action.getId()));
      return Map.of("ids", seen);
    });
    steps.put("notFound", () -> failureOf(() -> actions.bySecurityActionId(UUID.randomUUID().toString()).get()));
    steps.put("invalid", () -> {
      SecurityAction nameless = newAction("BlockIp", Map.of("IP", "1.2.3.4"), null);
      nameless.setName(null);
      return failureOf(() -> actions.post(nameless));
    });
    steps.put(
        "unknownAction",
        () -> failureOf(() -> actions.post(newAction("Levitate", Map.of("IP", "1.2.3.4"), null))));
    steps.put(
        "badParameter", () -> failureOf(() -> actions.post(newAction("BlockIp", Map.of("IP", "1.2.3"), null))));
    steps.put("tooLate", () -> failureOf(() -> {
      actions.bySecurityActionId(completed.getId()).cancelSecurityAction().post();
      return null;
    }));
    steps.put("readOnly", () -> failureOf(() -> clientWith(System.getenv("RIPOSTE_READER_TOKEN"))
        .security().securityActions().post(newAction("BlockIp", Map.of("IP", "1.2.3.4"), null))));
    steps.put(
        "unauthenticated", () -> failureOf(() -> clientWith("not.a.token").security().securityActions().get()));
    steps.put("patch", () -> failureOf(() -> actions.bySecurityActionId(created.getId()).patch(new SecurityAction())));
    steps.put("delete", () -> failureOf(() -> {
      actions.bySecurityActionId(created.getId()).delete();
      return null;
    }));
    steps.put("badOption", () -> failureOf(
        () -> actions.get(request -> request.queryParameters.filter = "status equals 'Running'")));
    addODataSteps(steps);
    steps.put("batch", this::batch);
    return steps;
  }

  private void addODataSteps(Map<String, Step> steps) {
    String marked = "clientContext eq '" + MARKER.replace("'", "''") + "'";
    steps.put("filter", () -> actionsOf(actions.get(request -> {
      request.queryParameters.filter = marked + " and parameters/any(p:p/name eq 'IP' and p/value eq '1.2.3.4')";
      request.queryParameters.orderby = new String[] {"createdDateTime asc"};
    })));
    steps.put("select", () -> {
      Map<String, Object> facts = actionsOf(actions.get(request -> {
        request.queryParameters.filter = marked;
        request.queryParameters.select = new String[] {"id", "status"};
        request.queryParameters.top = 1;
      }));
      facts.put("one", factsOf(actions.bySecurityActionId(created.getId()).get(
          request -> request.queryParameters.select = new String[] {"id", "name"})));
      return facts;
    });
    steps.put("count", () -> {
      SecurityActionCollectionResponse page = actions.get(request -> {
        request.queryParameters.filter = marked;
        request.queryParameters.count = true;
        request.queryParameters.top = 1;
      });
      Integer path = actions.count().get(request -> request.queryParameters.filter = marked);
      return Map.of("inline", page.getOdataCount(), "path", path);
    });
    steps.put("search", () -> actionsOf(actions.get(
        request -> request.queryParameters.search = "\"" + MARKER + "\"")));
    steps.put("pageFiltered", () -> {
      List<Object> seen = new ArrayList<>();
      follow(actions.get(request -> {
        request.queryParameters.filter = "status eq 'Failed'";
        request.queryParameters.orderby = new String[] {"lastActionDateTime desc"};
        request.queryParameters.top = 1;
      }), action -> seen.add(factsOf(action)));
      return Map.of("actions", seen);
    });
  }

  private Object batch() throws Exception {
    BatchRequestContent content = new BatchRequestContent(graph);
    String read = content.addBatchRequestStep(
        actions.bySecurityActionId(created.getId()).toGetRequestInformation());
    String missing = content.addBatchRequestStep(
        actions.bySecurityActionId(UUID.randomUUID().toString()).toGetRequestInformation());
    String write = content.addBatchRequestStep(
        actions.toPostRequestInformation(newAction("BlockIp", Map.of("IP", "1.2.3.4"), null)));
    var answers = graph.getBatchRequestBuilder().post(content, null);
    var statuses = answers.getResponsesStatusCode();
    return Map.of(
        "statuses",
        Map.of("read", statuses.get(read), "missing", statuses.get(missing), "write", statuses.get(write)),
        "read", factsOf(answers.getResponseById(read, SecurityAction::createFromDiscriminatorValue)),
        "write", factsOf(answers.getResponseById(write, SecurityAction::createFromDiscriminatorValue)));
  }

  private static GraphServiceClient clientWith(String token) {
    GraphServiceClient client =
        new GraphServiceClient(new BaseBearerTokenAuthenticationProvider(new StaticToken(token)));
    client.getRequestAdapter().setBaseUrl(BASE_URL);
    return client;
  }

  private static SecurityAction newAction(String name, Map<String, String> parameters, String context) {
    SecurityVendorInformation vendor = new SecurityVendorInformation();
    vendor.setVendor("Mock");
    vendor.setProvider("Mock");
    SecurityAction action = new SecurityAction();
    action.setName(name);
    action.setActionReason("Test");
    action.setClientContext(context);
    action.setVendorInformation(vendor);
    action.setParameters(parameters.entrySet().stream().map(entry -> {
      KeyValuePair pair = new KeyValuePair();
      pair.setName(entry.getKey());
      pair.setValue(entry.getValue());
      return pair;
    }).toList());
    return action;
  }

  private SecurityAction create(String name, Map<String, String> parameters, String context) {
    return actions.post(newAction(name, parameters, context));
  }

  /** The models' backing store sends what was changed only; this makes it send everything that was read. */
  private static SecurityAction asNew(SecurityAction action) {
    action.getBackingStore().setIsInitializationCompleted(false);
    action.getBackingStore().setReturnOnlyChangedValues(false);
    return action;
  }

  private SecurityAction whenStatus(String id, String... statuses) throws InterruptedException {
    long until = System.nanoTime() + 60_000_000_000L;
    for (;;) {
      SecurityAction action = actions.bySecurityActionId(id).get();
      String status = action.getStatus() == null ? null : action.getStatus().getValue();
      if (Arrays.asList(statuses).contains(status)) return action;
      if (System.nanoTime() > until) throw new IllegalStateException(id + " is " + status);
      Thread.sleep(50);
    }
  }

  private void follow(SecurityActionCollectionResponse first, java.util.function.Consumer<SecurityAction> take)
      throws Exception {
    new PageIterator.Builder<SecurityAction, SecurityActionCollectionResponse>()
        .client(graph)
        .collectionPage(first)
        .collectionPageFactory(SecurityActionCollectionResponse::createFromDiscriminatorValue)
        .processPageItemCallback(action -> {
          take.accept(action);
          return true;
        })
        .build()
        .iterate();
  }

  private static Long milliseconds(OffsetDateTime time) {
    return time == null ? null : time.toInstant().toEpochMilli();
  }

  private static Map<String, Object> actionsOf(SecurityActionCollectionResponse page) {
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("actions", page.getValue().stream().map(Acceptance::factsOf).toList());
    return facts;
  }

  /** The typed model, property by property. */
  private static Object factsOf(SecurityAction action) {
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("id", action.getId());
    facts.put("name", action.getName());
    facts.put("actionReason", action.getActionReason());
    facts.put("clientContext", action.getClientContext());
    facts.put("appId", action.getAppId());
    facts.put("azureTenantId", action.getAzureTenantId());
    facts.put("user", action.getUser());
    facts.put("status", action.getStatus() == null ? null : action.getStatus().getValue());
    facts.put("createdDateTime", milliseconds(action.getCreatedDateTime()));
    facts.put("lastActionDateTime", milliseconds(action.getLastActionDateTime()));
    facts.put("completedDateTime", milliseconds(action.getCompletedDateTime()));
    facts.put("parameters", action.getParameters() == null ? null : action.getParameters().stream().map(pair -> {
      Map<String, Object> each = new LinkedHashMap<>();
      each.put("name", pair.getName());
      each.put("value", pair.getValue());
      return each;
    }).toList());
    facts.put("states", action.getStates() == null ? null : action.getStates().stream().map(state -> {
      Map<String, Object> each = new LinkedHashMap<>();
      each.put("status", state.getStatus() == null ? null : state.getStatus().getValue());
      each.put("appId", state.getAppId());
      each.put("user", state.getUser());
      each.put("updatedDateTime", milliseconds(state.getUpdatedDateTime()));
      return each;
    }).toList());
    var error = action.getErrorInfo();
    facts.put("errorInfo", error == null ? null : Map.of(
        "code", error.getCode(), "subcode", error.getSubcode(), "message", error.getMessage()));
    var vendor = action.getVendorInformation();
    Map<String, Object> vendorFacts = new LinkedHashMap<>();
    if (vendor != null) {
      vendorFacts.put("provider", vendor.getProvider());
      vendorFacts.put("providerVersion", vendor.getProviderVersion());
      vendorFacts.put("subProvider", vendor.getSubProvider());
      vendorFacts.put("vendor", vendor.getVendor());
    }
    facts.put("vendorInformation", vendor == null ? null : vendorFacts);
    return facts;
  }

  /** How the SDK tells of a request that is refused. */
  private static Object failureOf(Step request) throws Exception {
    Map<String, Object> facts = new LinkedHashMap<>();
    try {
      request.tell();
      facts.put("error", null);
    } catch (ODataError error) {
      var main = error.getError();
      var inner = main == null ? null : main.getInnerError();
      facts.put("error", "ODataError");
      facts.put("status", error.getResponseStatusCode());
      facts.put("code", main == null ? null : main.getCode());
      facts.put("message", main == null ? null : main.getMessage());
      facts.put("requestId", inner == null ? null : inner.getRequestId());
      facts.put("date", inner == null ? null : milliseconds(inner.getDate()));
    } catch (ApiException error) {
      facts.put("error", "ApiException");
      facts.put("status", error.getResponseStatusCode());
    }
    return facts;
  }
}
