#include "oauth/authorize.h"

#include <algorithm>
#include <charconv>

#include "base/uri.h"
#include "oauth/actor_token.h"
#include "oauth/draft00.h"
#include "oauth/form.h"
#include "oauth/issuance.h"

namespace behalf::oauth {
namespace {

constexpr size_t kMaxState = 8 * 1024;
constexpr size_t kMaxResources = 10;
constexpr int64_t kMaxMaxAge = int64_t{10} * 365 * 86400;

Refused<OAuthError> bad(std::string_view description, std::string_view reason) {
  return refuse(ErrorCode::kInvalidRequest, description, reason);
}

bool is_challenge(std::string_view text) {
  return text.size() == 43 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '_';
         });
}

// Space-separated printable ASCII, at most 500 characters.
bool is_acr_list(std::string_view text) {
  return text.size() <= 500 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

Answer<Fine> read_prompt(std::string_view text, Prompt& prompt) {
  while (!text.empty()) {
    const size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    if (word == "none")
      prompt.none = true;
    else if (word == "login")
      prompt.login = true;
    else if (word == "consent")
      prompt.consent = true;
    else if (word == "select_account")
      prompt.select_account = true;
    else if (!word.empty())
      return bad("prompt has an unknown value", "prompt_unknown");
  }
  if (prompt.none && (prompt.login || prompt.consent || prompt.select_account)) {  // OIDC Core §3.1.2.1
    return bad("prompt=none stands alone", "prompt_none_with_others");
  }
  return Fine{};
}

class Reading {
 public:
  Reading(Call& call, const http::Form& form, Channel channel)
      : call_(call),
        names_(authorization_in_current_names(call.settings(), form)),
        form_(names_.form),
        channel_(channel) {}

  // X01: until this has succeeded there is no address that an answer may go to.
  Answer<Fine> find_client_and_redirect() {
    for (const std::string_view name : {"client_id", "redirect_uri"}) {
      if (form_.all(name).size() > 1)
        return bad(std::string(name) + " is sent more than once", "repeated_parameter");
    }
    if (!form_.has("client_id")) return bad("client_id is required", "client_id_missing");
    client_ = call_.services.store.registry().find_client(form_.get("client_id"));
    if (is_registry_id(form_.get("client_id"))) call_.audit.client = form_.get("client_id");
    if (client_ == nullptr || !client_->is_active())
      return bad("the client is not known here", "client_unknown");
    if (!client_->may_use("authorization_code")) {
      return refuse(
          channel_ == Channel::kPushed ? ErrorCode::kUnauthorizedClient : ErrorCode::kInvalidRequest,
          "the client does not use this flow", "grant_type_not_registered");
    }
    const std::string_view presented = form_.get("redirect_uri");
    if (presented.empty()) return bad("redirect_uri is required", "redirect_uri_missing");
    const auto& registered = client_->redirect_uris;
    if (std::none_of(registered.begin(), registered.end(),
                     [&](const std::string& uri) { return redirect_matches(uri, presented); })) {
      return bad("redirect_uri is not registered for this client", "redirect_uri_unregistered");
    }
    request_.client = client_->id;
    request_.client_epoch = client_->epoch;
    request_.redirect_uri = presented;
    to_.redirect_uri = presented;
    if (form_.all("state").size() == 1 && form_.has("state")) to_.state = std::string(form_.get("state"));
    if (form_.all("response_mode").size() <= 1 && form_.get("response_mode") == "form_post" &&
        (presented.starts_with("https://") || presented.starts_with("http://"))) {
      to_.response_mode = ResponseMode::kFormPost;
    }
    return Fine{};
  }

  Answer<Fine> read_rest() {
    if (const auto name = form_.repeated({"resource"})) {
      return bad("parameter " + name->substr(0, 60) + " is sent more than once", "repeated_parameter");
    }
    if (names_.is_draft00) call_.audit.details.set("draft", "00");
    // D-34: a credential in a URL has leaked already; the audit says so, without the value.
    if (channel_ == Channel::kBrowser && (form_.has("actor_token") || form_.has("actor_token_type") ||
                                          (names_.is_draft00 && form_.has("agent_token")))) {
      return bad("actor_token must not travel through the browser", "credential_exposure_actor_token");
    }
    if (names_.mixed) {  // D-44
      return bad("names of two versions of the draft are used in one request", "draft00_names_mixed");
    }
    if (form_.has("request")) {
      return refuse(ErrorCode::kRequestNotSupported, "request objects are not supported", "request_object");
    }
    TRY(read_response());
    TRY(read_pkce());
    if (to_.state && to_.state->size() > kMaxState) return bad("state is too long", "state_too_long");
    if (call_.settings().strict_draft02 && !to_.state) {  // D-20
      return bad("state is required", "state_missing");
    }
    request_.state = to_.state;
    TRY(read_prompt(form_.get("prompt"), request_.prompt));
    TRY(read_max_age());
    TRY(read_agent());
    TRY(read_resources_and_scopes());
    TRY(read_acr());
    request_.login_hint = form_.get("login_hint").substr(0, 255);
    return Fine{};
  }

  Result<AuthorizationRequest, AuthorizationRefusal> run() {
    auto address = find_client_and_redirect();
    if (!address) return Refused{AuthorizationRefusal{address.reason(), std::nullopt}};
    auto rest = read_rest();
    if (!rest) return Refused{AuthorizationRefusal{rest.reason(), to_}};
    return std::move(request_);
  }

 private:
  Answer<Fine> read_response() {
    const std::string_view type = form_.get("response_type");
    if (type.empty()) return bad("response_type is required", "response_type_missing");
    if (type != "code") {  // X05
      return refuse(ErrorCode::kUnsupportedResponseType, "only response_type=code is offered",
                    "response_type");
    }
    const std::string_view mode = form_.get("response_mode");
    if (!mode.empty() && mode != "query" && to_.response_mode != ResponseMode::kFormPost) {  // D-16
      return bad("response_mode must be query or form_post", "response_mode");
    }
    request_.response_mode = to_.response_mode;
    return Fine{};
  }

  Answer<Fine> read_pkce() {  // D-17, X03
    const std::string_view challenge = form_.get("code_challenge");
    if (challenge.empty())
      return bad("code_challenge is required (PKCE, RFC 7636)", "code_challenge_missing");
    if (form_.get("code_challenge_method") != "S256") {
      return bad("code_challenge_method must be S256", "code_challenge_method");
    }
    if (!is_challenge(challenge))
      return bad("code_challenge must be 43 characters of base64url", "code_challenge_malformed");
    request_.code_challenge = challenge;
    return Fine{};
  }

  Answer<Fine> read_max_age() {
    const std::string_view text = form_.get("max_age");
    if (text.empty()) return Fine{};
    int64_t value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc{} || end != text.data() + text.size() || value < 0 || value > kMaxMaxAge) {
      return bad("max_age must be a whole number of seconds", "max_age");
    }
    request_.max_age = Seconds{value};
    return Fine{};
  }

  // How the person must have signed in: `acr_values` (RFC 9470 §4), or what a claims challenge makes
  // essential (D-83: {"access_token":{"acrs":{"essential":true,"value":"..."}}}; OIDC Core §5.5.1.1 spells it
  // `acr`).
  Answer<Fine> read_acr() {
    std::string values(form_.get("acr_values"));
    if (!is_acr_list(values)) return bad("acr_values is malformed", "acr_values");
    request_.acr_values = std::move(values);
    if (!form_.has("claims")) return Fine{};
    const auto claims = json::parse(form_.get("claims"), {.bytes = 8 * 1024, .depth = 8});
    if (!claims || claims->object() == nullptr) return bad("claims is no JSON object", "claims_malformed");
    std::string essential;
    for (const json::Member& place : *claims->object()) {
      if (place.value.object() == nullptr) continue;
      for (const char* name : {"acrs", "acr"}) {
        const json::Value* claim = place.value.find(name);
        const json::Value* flag = claim == nullptr ? nullptr : claim->find("essential");
        if (flag == nullptr || flag->boolean() == nullptr || !*flag->boolean()) continue;
        if (!essential.empty()) return bad("claims demands acr more than once", "claims_acr");
        if (const std::string* value = claim->find_string("value")) essential = *value;
        const json::Value* list = claim->find("values");
        if (list != nullptr && list->array() != nullptr) {
          for (const json::Value& item : *list->array()) {
            if (item.string() == nullptr) return bad("claims demands an acr that is no text", "claims_acr");
            essential += (essential.empty() ? "" : " ") + *item.string();
          }
        }
        if (claim->find("value") == nullptr && list == nullptr) continue;  // any will do
        if (essential.empty() || !is_acr_list(essential))
          return bad("claims demands an acr that cannot be", "claims_acr");
      }
    }
    request_.essential_acrs = std::move(essential);
    return Fine{};
  }

  Answer<Fine> read_agent() {
    // Sent empty is not the same as not sent: it names no agent, and must not quietly become "no agent"
    // (D-02).
    const auto sent = form_.all("requested_actor");
    const std::string_view name = form_.get("requested_actor");
    if (!sent.empty() && !is_registry_id(name)) {  // X04
      return bad("requested_actor must be 1-255 printable ASCII characters without space",
                 "requested_actor_malformed");
    }
    if (name.empty()) {
      if (!client_->agent
               .empty()) {  // D-13: this client is an agent; it acts as one whether it says so or not
        agent_ = call_.services.store.registry().find_agent(client_->agent.text());
        if (agent_ == nullptr || !agent_->is_active()) return unknown_actor("client_agent_inactive");
        request_.agent = agent_->id;
        call_.audit.agent = agent_->id.text();
        read_intent();
        return Fine{};
      }
      if (client_->require_requested_actor) {  // D-01
        return bad("requested_actor is required for this client", "requested_actor_missing");
      }
      return Fine{};
    }
    call_.audit.agent = name;
    agent_ = call_.services.store.registry().find_agent(name);
    // D-24: unknown, suspended and not for this client are one answer.
    if (agent_ == nullptr) return unknown_actor("actor_unknown");
    if (!agent_->is_active()) return unknown_actor("actor_suspended");
    if (!agent_->clients.allows(client_->id.text()) && client_->agent != agent_->id) {
      return unknown_actor("actor_not_for_this_client");
    }
    request_.agent = agent_->id;
    request_.agent_was_requested = true;
    read_intent();
    return Fine{};
  }

  // D-45: a purpose the agent is registered for, or nothing: the caller's own words are shown to nobody.
  void read_intent() {
    if (agent_->find_intent(form_.get("intent_scope")) != nullptr)
      request_.intent = form_.get("intent_scope");
  }

  Refused<OAuthError> unknown_actor(std::string_view reason) const {  // X02
    return Refused{actor_error(call_.settings().error_dialect, ActorError::kUnknown, reason)};
  }

  Answer<Fine> read_resources_and_scopes() {
    const auto& registry = call_.services.store.registry();
    std::vector<std::shared_ptr<const Resource>> resources;
    for (const std::string_view name : form_.all("resource")) {
      if (name.empty()) continue;
      const auto resource = canonical_resource(name) ? registry.find_resource(name) : nullptr;
      if (resource == nullptr) {
        return refuse(ErrorCode::kInvalidTarget, "the resource is not known here", "target_unknown");
      }
      if (std::find(resources.begin(), resources.end(), resource) == resources.end())
        resources.push_back(resource);
      if (resources.size() > kMaxResources)
        return refuse(ErrorCode::kInvalidTarget, "too many resources", "too_many_targets");
    }
    if (!form_.has("scope")) {  // D-22
      return refuse(ErrorCode::kInvalidScope, "scope is required", "scope_missing");
    }
    auto scopes = ScopeSet::parse(form_.get("scope"));
    if (!scopes || scopes->empty())
      return refuse(ErrorCode::kInvalidScope, "scope is malformed", "scope_malformed");
    request_.offline = scopes->contains("offline_access");
    request_.scopes = scopes->without({"offline_access"});
    if (request_.scopes.empty())
      return refuse(ErrorCode::kInvalidScope, "scope names nothing to do", "scope_empty");
    if (resources.empty()) resources = TRY(infer_resources());
    ScopeSet known;
    for (const auto& resource : resources) known = known.unite(resource->scope_set());
    if (!request_.scopes.is_at_most(known)) {
      return refuse(ErrorCode::kInvalidScope, "a scope is not known at the resource", "scope_unknown");
    }
    if (!request_.scopes.is_at_most(client_->scopes)) {  // X06
      return refuse(ErrorCode::kInvalidScope, "a scope is not available to this client",
                    "scope_above_client");
    }
    if (agent_ != nullptr && !request_.scopes.is_at_most(agent_->scopes)) {
      return refuse(ErrorCode::kInvalidScope, "a scope is not available to this agent", "scope_above_agent");
    }
    for (const auto& resource : resources) {
      if (agent_ != nullptr && !agent_->resources.allows(resource->id.text())) {
        return refuse(ErrorCode::kInvalidTarget, "the agent may not reach this resource",
                      "agent_not_for_this_resource");
      }
      request_.resources.push_back(resource->id);
    }
    return Fine{};
  }

  // No resource was named: the one that knows all the scopes, or for each scope the one that knows it.
  Answer<std::vector<std::shared_ptr<const Resource>>> infer_resources() const {
    std::vector<std::shared_ptr<const Resource>> knows_all;
    std::vector<std::shared_ptr<const Resource>> knows_some;
    ScopeSet seen;
    bool is_ambiguous = false;
    for (const auto& resource : call_.services.store.registry().resources()) {
      const ScopeSet here = request_.scopes.intersect(resource->scope_set());
      if (here.empty()) continue;
      if (here == request_.scopes) knows_all.push_back(resource);
      if (here.shares_any(seen)) is_ambiguous = true;
      seen = seen.unite(here);
      knows_some.push_back(resource);
    }
    if (knows_all.size() == 1) return knows_all;
    if (seen != request_.scopes)
      return refuse(ErrorCode::kInvalidScope, "a scope is not known here", "scope_unknown");
    if (is_ambiguous) {
      return refuse(ErrorCode::kInvalidTarget, "several resources know these scopes; name one with resource",
                    "target_ambiguous");
    }
    return knows_some;
  }

  Call& call_;
  const CurrentNames names_;
  const http::Form& form_;
  const Channel channel_;
  std::shared_ptr<const Client> client_;
  std::shared_ptr<const Agent> agent_;
  AuthorizationRequest request_;
  ReturnAddress to_;
};

}  // namespace

Result<AuthorizationRequest, AuthorizationRefusal> read_authorization_request(Call& call,
                                                                              const http::Form& form,
                                                                              Channel channel) {
  auto result = Reading(call, form, channel).run();
  if (!result) return result;
  const auto client = call.services.store.registry().find_client(result->client.text());
  if (channel == Channel::kBrowser &&
      (call.settings().require_pushed_authorization_requests ||
       (client != nullptr && client->require_pushed_authorization_requests))) {
    return Refused{AuthorizationRefusal{OAuthError{ErrorCode::kInvalidRequest,
                                                   "this client must push its requests first (RFC 9126)",
                                                   "par_required",
                                                   {}},
                                        return_address(*result)}};
  }
  return result;
}

ReturnAddress return_address(const AuthorizationRequest& request) {
  return {request.redirect_uri, request.response_mode, request.state};
}

ResponseParameters success_parameters(const Settings& settings, const ReturnAddress& to,
                                      const std::string& code) {
  ResponseParameters parameters{{"code", code}};
  if (to.state) parameters.emplace_back("state", *to.state);
  parameters.emplace_back("iss", settings.issuer);
  return parameters;
}

ResponseParameters error_parameters(const Settings& settings, const ReturnAddress& to,
                                    const OAuthError& error) {
  ResponseParameters parameters{{"error", std::string(name_of(error.code))}};
  if (!error.description.empty())
    parameters.emplace_back("error_description", presentable(error.description));
  if (to.state) parameters.emplace_back("state", *to.state);
  parameters.emplace_back("iss", settings.issuer);
  return parameters;
}

std::string response_location(const ReturnAddress& to, const ResponseParameters& parameters) {
  return to.redirect_uri + (to.redirect_uri.find('?') == std::string::npos ? "?" : "&") +
         http::write_form(parameters);
}

namespace {

struct PushedActor {
  std::optional<ActorProof> proof;
  std::optional<OAuthError> error;
};

// X09: a proof may come with the push, so that a bad one stops the flow before the person is bothered.
PushedActor read_pushed_actor(Call& call, const http::Form& form) {
  PushedActor pushed;
  if (!form.has("actor_token")) {
    if (form.has("actor_token_type")) {
      pushed.error = OAuthError{ErrorCode::kInvalidRequest,
                                "actor_token and actor_token_type go together",
                                "actor_token_type",
                                {},
                                {}};
    }
    return pushed;
  }
  auto proof = read_actor_token(call, form.get("actor_token"), form.get("actor_token_type"));
  if (proof) {
    pushed.proof = std::move(proof).value();
  } else {
    pushed.error =
        actor_error(call.settings().error_dialect, ActorError::kPushedTokenInvalid, proof.reason().reason);
  }
  return pushed;
}

Task<http::Response> push(Call& call) {
  auto form = read_form(call.request, {"resource"});
  if (!form) co_return co_await refuse_call(call, form.reason());
  auto client = authenticate_client(call, *form);
  const Challenge challenge = challenge_for(call.request);
  if (!client) co_return co_await refuse_call(call, client.reason(), challenge);

  Limits& limits = call.services.limits;
  if (const auto wait = limits.wait(Limits::Kind::kPushedRequest, {client->id().text()}))
    co_return co_await refuse_call(call, too_many_requests(*wait, "limit_pushed_requests"), challenge);

  http::Form parameters = authorization_in_current_names(call.settings(), *form).form;
  if (!parameters.has("client_id")) parameters.set("client_id", client->id().text());
  Answer<AuthorizationRequest> request = refuse(ErrorCode::kInvalidRequest, "", "");
  if (form->has("request_uri")) {  // RFC 9126 §2.1
    request = bad("request_uri must not be pushed", "request_uri_pushed");
  } else {
    auto read = read_authorization_request(call, parameters, Channel::kPushed);
    if (read)
      request = std::move(read).value();
    else
      request = Refused{read.reason().error};
  }
  PushedActor actor = read_pushed_actor(call, parameters);
  const std::string secret = make_secret_text(call.services.random);
  const Handle handle{NodeId(call.new_id()), secret};
  const Seconds lifetime = call.settings().pushed_request_lifetime;
  std::optional<OAuthError> refusal;
  auto pending = call.commit([&](store::Transaction& transaction) {
    refusal.reset();
    if (auto confirmed = confirm_client(call, *client, transaction); !confirmed)
      refusal = confirmed.reason();
    else if (!request)
      refusal = request.reason();
    else if (actor.error)
      refusal = actor.error;
    else if (actor.proof) {
      const auto agent = confirm_actor(call, *actor.proof, *client, {}, transaction);
      if (!agent) {
        refusal = actor_error(call.settings().error_dialect, ActorError::kPushedTokenInvalid,
                              agent.reason().reason);
      } else if ((*agent)->id != request->agent) {  // X10
        refusal = actor_error(call.settings().error_dialect, ActorError::kPushedMismatch, "actor_mismatch");
      }
    }
    if (refusal) return call.deny(*refusal);
    AuthorizationRequest stored = *request;
    stored.id = RequestId(handle.id.text());
    stored.secret_hash = call.services.keys.lookup_hash(secret);
    stored.created_at = call.now;
    stored.expires_at = call.now + lifetime;
    transaction.insert_request(stored);
    call.audit.node = stored.id.text();
    call.audit.scope = stored.scopes.text();
    call.allow();
  });
  co_await pending.durable();
  if (refusal) co_return error_response(*refusal, challenge);
  limits.charge(Limits::Kind::kPushedRequest, {client->id().text()});
  std::string body;
  json::ObjectWriter writer(body);
  writer.add("request_uri", write_handle(kRequestUriPrefix, handle)).add("expires_in", lifetime.count).end();
  http::Response response = http::json_response(201, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

}  // namespace

Task<http::Response> pushed_authorization_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "par", push);
}

}  // namespace behalf::oauth
