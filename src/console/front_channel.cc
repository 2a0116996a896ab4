#include "console/front_channel.h"

#include <algorithm>

#include "base/secret.h"
#include "base/uri.h"
#include "console/pages.h"
#include "oauth/authorize.h"
#include "oauth/endings.h"
#include "oauth/form.h"
#include "oauth/liveness.h"

namespace behalf::console {

using oauth::Call;
using oauth::ErrorCode;
using oauth::OAuthError;

// Who is at the browser, as far as the cookies say.
struct FrontChannel::Visitor {
  std::string browser;  // the value of the binding cookie, new or old
  bool is_new_browser = false;
  std::string browser_hash;
  std::optional<Session> session;
};

namespace {

// Must the person sign in (again) before this request may go on? Judged by the moment the request was made,
// so that the sign-in which satisfied it does not grow stale while the page is read.
bool needs_sign_in(const AuthorizationRequest& request, const std::optional<Session>& session) {
  if (!session) return true;
  const UnixTime signed_in = session->sign_in.auth_time;
  if (signed_in >= request.created_at) return false;
  if (request.prompt.login || request.prompt.select_account) return true;
  return request.max_age && signed_in + *request.max_age <= request.created_at;
}

OAuthError error(ErrorCode code, std::string_view description, std::string_view reason) {
  return {code, std::string(description), std::string(reason), {}};
}

}  // namespace

FrontChannel::FrontChannel(oauth::Services& services, const Templates& templates)
    : services_(services), templates_(templates), cookies_(services.settings) {
  const auto parts = split_uri(services.settings.issuer);
  if (parts && parts->path != "/") base_path_ = std::string(parts->path);
}

std::string FrontChannel::path(std::string_view suffix) const { return base_path_ + std::string(suffix); }

std::string FrontChannel::seal(std::string_view purpose, std::string_view a, std::string_view b) const {
  std::string context(purpose);
  for (const std::string_view part : {a, b}) {
    context += '|' + std::to_string(part.size()) + ':';
    context += part;
  }
  return services_.keys.seal(context);
}

http::Response FrontChannel::page(int status, std::string html, std::string_view form_target) const {
  http::Response response;
  response.status = status;
  response.body = std::move(html);
  response.headers.set("Content-Type", "text/html; charset=utf-8");
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Referrer-Policy", "no-referrer");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.headers.set("X-Frame-Options", "DENY");
  response.headers.set("Cross-Origin-Opener-Policy", "same-origin");
  std::string policy =
      "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; "
      "form-action 'self'";
  if (!form_target.empty()) policy += " " + std::string(form_target);
  response.headers.set("Content-Security-Policy", policy);
  if (services_.settings.secure_cookies) {
    response.headers.set("Strict-Transport-Security", "max-age=31536000");
  }
  return response;
}

http::Response FrontChannel::respond(const oauth::ReturnAddress& to,
                                     const oauth::ResponseParameters& parameters) const {
  if (to.response_mode == ResponseMode::kFormPost) {
    FormPostPage form{.action = to.redirect_uri,
                      .client_name = {},
                      .host = display_host(to.redirect_uri),
                      .fields = parameters};
    const auto parts = split_uri(to.redirect_uri);
    const std::string origin = std::string(parts->scheme) + "://" + std::string(*parts->authority);
    return page(200, templates_.render(form), origin);
  }
  http::Response response = http::redirect(oauth::response_location(to, parameters));
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Referrer-Policy", "no-referrer");
  return response;
}

Task<http::Response> FrontChannel::refuse_with_page(Call& call, OAuthError refusal, int status) {
  call.deny(refusal);
  co_await oauth::record(call);
  co_return page(status, templates_.render(ErrorPage{
                             .title = "This request cannot go on",
                             .message = refusal.description,
                             .hint = "Nothing was allowed. Go back to the app you came from and start again.",
                             .reference = call.audit.request_id}));
}

Task<http::Response> FrontChannel::refuse_to_client(Call& call, const oauth::ReturnAddress& to,
                                                    OAuthError refusal) {
  call.deny(refusal);
  co_await oauth::record(call);
  co_return respond(to, oauth::error_parameters(services_.settings, to, refusal));
}

Task<FrontChannel::Visitor> FrontChannel::who(Call& call) {
  Visitor visitor;
  if (auto browser = cookies_.browser(call.request)) {
    visitor.browser = std::move(*browser);
  } else {
    visitor.browser = make_secret_text(services_.random);
    visitor.is_new_browser = true;
  }
  visitor.browser_hash = services_.keys.lookup_hash(visitor.browser);
  if (const auto cookie = cookies_.session(call.request)) {
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      visitor.session = find_session(call, transaction, *cookie);
    });
  }
  co_return visitor;
}

// ---- /authorize ----

Task<http::Response> FrontChannel::authorize(http::Request& http_request) {
  return oauth::answer(services_, http_request, "authorize", [this](Call& call) -> Task<http::Response> {
    const bool is_post = call.request.method == "POST";
    std::optional<http::Form> form;
    if (is_post) {
      auto body = oauth::read_form(call.request, {"resource", "client_id", "redirect_uri", "state", "scope",
                                                  "response_type", "requested_actor", "prompt"});
      // What is sent twice is for the reader below to judge: only there it is known where an answer may go.
      if (!body) {
        form = http::Form::parse(call.request.body);
        if (!form || body.reason().reason != "repeated_parameter")
          co_return co_await refuse_with_page(call, body.reason());
      } else {
        form = std::move(*body);
      }
    } else {
      form = http::Form::parse(call.request.query);
    }
    if (!form)
      co_return co_await refuse_with_page(
          call, error(ErrorCode::kInvalidRequest, "the request is not well-formed", "malformed_query"));
    Visitor visitor = co_await who(call);
    if (form->has("request_uri")) co_return co_await open_pushed(call, *form, visitor);

    auto read = oauth::read_authorization_request(call, *form, oauth::Channel::kBrowser);
    if (!read) {
      const oauth::AuthorizationRefusal refusal = read.reason();
      if (!refusal.return_to) co_return co_await refuse_with_page(call, refusal.error);
      co_return co_await refuse_to_client(call, *refusal.return_to, refusal.error);
    }
    AuthorizationRequest request = std::move(*read);
    request.id = RequestId(call.new_id());
    request.browser_hash = visitor.browser_hash;
    request.created_at = call.now;
    request.expires_at = call.now + services_.settings.interaction_lifetime;
    co_return co_await advance(call, request, visitor);
  });
}

Task<http::Response> FrontChannel::open_pushed(Call& call, const http::Form& form, const Visitor& visitor) {
  const std::string_view uri = form.get("request_uri");
  for (const std::string_view name : {"client_id", "request_uri"}) {
    if (form.all(name).size() > 1) {
      co_return co_await refuse_with_page(
          call,
          error(ErrorCode::kInvalidRequest, "a parameter is sent more than once", "repeated_parameter"));
    }
  }
  if (is_registry_id(form.get("client_id"))) call.audit.client = form.get("client_id");
  const auto handle = oauth::parse_handle(oauth::kRequestUriPrefix, uri);
  if (!handle) {
    // A request_uri elsewhere is never fetched (RFC 9101 §10.4).
    const bool is_ours = uri.starts_with(oauth::kRequestUriPrefix);
    co_return co_await refuse_with_page(
        call, error(is_ours ? ErrorCode::kInvalidRequestUri : ErrorCode::kRequestUriNotSupported,
                    "this link is not one of ours", "request_uri_foreign"));
  }
  std::optional<AuthorizationRequest> request;
  std::string_view reason;
  auto pending = call.commit([&](store::Transaction& transaction) {
    request = transaction.find_request(RequestId(handle->id.text()));
    reason = {};
    if (!request || request->secret_hash.empty() ||
        !constant_time_equal(request->secret_hash, services_.keys.lookup_hash(handle->secret))) {
      reason = "request_uri_unknown";
    } else if (request->client.text() != form.get("client_id")) {
      reason = "request_uri_of_other_client";
    } else if (request->expires_at <= call.now) {
      reason = "request_uri_expired";
    } else if (request->completed_at) {
      reason = "request_uri_used";
    } else if (form.has("requested_actor") && form.get("requested_actor") != request->agent.text()) {  // D-32
      reason = "requested_actor_differs";
    } else if (!transaction.bind_request(request->id, visitor.browser_hash)) {
      reason = "request_of_other_browser";
    }
    if (!reason.empty()) return call.deny(error(ErrorCode::kInvalidRequestUri, "", reason));
    // The pushed lifetime is for getting here; from now on the person has as long as anyone.
    if (request->browser_hash.empty()) {
      request->expires_at = call.now + services_.settings.interaction_lifetime;
      transaction.extend_request(request->id, request->expires_at);
    }
    request->browser_hash = visitor.browser_hash;
    call.audit.agent = request->agent.text();
    call.audit.node = request->id.text();
    call.audit.event = "authorize.open_pushed";
    call.allow();
  });
  co_await pending.durable();
  if (!reason.empty()) {
    co_return page(400,
                   templates_.render(ErrorPage{
                       .title = "This link no longer works",
                       .message = "It was used already, has expired, or belongs to another app or browser.",
                       .hint = "Nothing was allowed. Go back to the app you came from and start again.",
                       .reference = call.audit.request_id}));
  }
  Call next(services_, call.request, "authorize");
  co_return co_await advance(next, *request, visitor);
}

// The one dispatcher: looks at the stored request and the person, and says what comes next. Every step
// returns here.
Task<http::Response> FrontChannel::advance(Call& call, const AuthorizationRequest& request,
                                           const Visitor& visitor) {
  const oauth::ReturnAddress to = oauth::return_address(request);
  call.audit.client = request.client.text();
  call.audit.agent = request.agent.text();
  call.audit.scope = request.scopes.text();
  if (visitor.session) call.audit.user = visitor.session->user.text();

  const bool must_sign_in = needs_sign_in(request, visitor.session);
  std::optional<OAuthError> refusal;
  if (must_sign_in && request.prompt.none) {  // X08
    refusal = error(ErrorCode::kLoginRequired, "the person must sign in", "no_session");
  }
  std::optional<Grant> covering;
  std::optional<oauth::Offer> offer;
  if (!must_sign_in) {
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      auto made =
          oauth::make_offer(transaction, services_.settings, request, visitor.session->user, call.now);
      if (!made) {
        refusal = made.reason();
        return;
      }
      offer = std::move(*made);
      if (!request.prompt.consent) covering = oauth::covering_grant(transaction, *offer, call.now);
    });
    if (covering) co_return co_await answer_with_code(call, *offer, *visitor.session, *covering);
    if (!refusal && request.prompt.none) {  // X08
      refusal = error(ErrorCode::kConsentRequired, "the person must decide", "no_covering_consent");
    }
  }
  if (refusal) {
    auto pending = call.commit([&](store::Transaction& transaction) {
      // An error is an answer too: a pushed request that has one is used up (D-32).
      (void)transaction.complete_request(request.id, call.now);
      call.deny(*refusal);
    });
    co_await pending.durable();
    co_return respond(to, oauth::error_parameters(services_.settings, to, *refusal));
  }
  // The person is needed: keep the request, bound to this browser, and show the next page.
  auto pending = call.commit([&](store::Transaction& transaction) {
    if (!transaction.find_request(request.id)) transaction.insert_request(request);
    if (visitor.session) transaction.touch_session(visitor.session->id, call.now);
    call.audit.node = request.id.text();
    call.allow();
  });
  co_await pending.durable();
  http::Response response =
      http::redirect(path(must_sign_in ? "/login" : "/consent") + "?request=" + request.id.text());
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Referrer-Policy", "no-referrer");
  if (visitor.is_new_browser) cookies_.set_browser(response, visitor.browser);
  co_return response;
}

// D-18: an earlier decision covers this exactly; looked up again inside the transaction that makes the code.
Task<http::Response> FrontChannel::answer_with_code(Call& call, const oauth::Offer& offer,
                                                    const Session& session, const Grant& covering) {
  const oauth::Handle code{NodeId(call.new_id()), make_secret_text(services_.random)};
  std::optional<OAuthError> refusal;
  call.audit.event = "authorize.stored_consent";
  auto pending = call.commit([&](store::Transaction& transaction) {
    refusal.reset();
    const auto grant = transaction.find_grant(covering.id);
    const auto stored = transaction.find_request(offer.request.id);
    const auto agent = offer.agent == nullptr ? nullptr : transaction.find_agent(offer.agent->id);
    const bool agent_changed =
        offer.agent != nullptr && (agent == nullptr || agent->version != offer.agent->version);
    const bool alive = grant && oauth::why_dead(transaction, *grant, call.now).empty() && !agent_changed;
    if (!alive || (stored && !transaction.complete_request(offer.request.id, call.now))) {
      refusal = error(ErrorCode::kAccessDenied, "this request has ended; start again", "consent_ended");
      return call.deny(*refusal);
    }
    transaction.touch_session(session.id, call.now);
    oauth::issue_code(call, transaction, offer, *grant, offer.request.scopes, session.sign_in, code);
  });
  co_await pending.durable();
  const oauth::ReturnAddress to = oauth::return_address(offer.request);
  if (refusal) co_return respond(to, oauth::error_parameters(services_.settings, to, *refusal));
  co_return respond(
      to, oauth::success_parameters(services_.settings, to, oauth::write_handle(oauth::kCodePrefix, code)));
}

// The stored request, if this browser is the one it is bound to and it is still open.
Task<std::optional<AuthorizationRequest>> FrontChannel::load_request(Call& call, std::string_view id,
                                                                     const Visitor& visitor) {
  std::optional<AuthorizationRequest> request;
  if (!is_ordered_id(id)) co_return request;
  co_await services_.store.read(
      [&](store::ReadTransaction& transaction) { request = transaction.find_request(RequestId(id)); });
  const bool usable = request && !request->browser_hash.empty() &&
                      constant_time_equal(request->browser_hash, visitor.browser_hash) &&
                      !request->completed_at && request->expires_at > call.now;
  if (!usable) request.reset();
  co_return request;
}

// ---- Sign-in ----

http::Response FrontChannel::login_page(const Call& call, const Visitor& visitor,
                                        const AuthorizationRequest* request, std::string_view username,
                                        std::string_view message, int status) const {
  LoginPage view;
  view.action = path("/login");
  view.request = request == nullptr ? "" : request->id.text();
  view.csrf = seal("login", visitor.browser, view.request);
  view.username = username;
  view.error = message;
  if (request != nullptr) {
    if (view.username.empty()) view.username = request->login_hint;
    const auto& registry = call.services.store.registry();
    if (const auto client = registry.find_client(request->client.text())) view.client_name = client->name;
    if (const auto agent = registry.find_agent(request->agent.text())) {
      view.agent_name = agent->name;
      view.agent_publisher = agent->publisher;
    }
  }
  http::Response response = page(status, templates_.render(view));
  if (visitor.is_new_browser) cookies_.set_browser(response, visitor.browser);
  return response;
}

Task<http::Response> FrontChannel::show_login(http::Request& http_request) {
  return oauth::answer(services_, http_request, "login.show", [this](Call& call) -> Task<http::Response> {
    const auto form = http::Form::parse(call.request.query);
    Visitor visitor = co_await who(call);
    const std::string id(form ? form->get(field::kRequest) : "");
    if (id.empty()) co_return login_page(call, visitor, nullptr, {}, {}, 200);
    const auto request = co_await load_request(call, id, visitor);
    if (!request)
      co_return co_await refuse_with_page(
          call, error(ErrorCode::kInvalidRequest, "This request has ended, or was opened in another browser.",
                      "request_unusable"));
    co_return login_page(call, visitor, &*request, {}, {}, 200);
  });
}

Task<http::Response> FrontChannel::login(http::Request& http_request) {
  return oauth::answer(services_, http_request, "login", [this](Call& call) -> Task<http::Response> {
    auto form = oauth::read_form(call.request, {});
    if (!form) co_return co_await refuse_with_page(call, form.reason());
    Visitor visitor = co_await who(call);
    const std::string id(form->get(field::kRequest));
    const std::string username(form->get(field::kUsername));
    if (visitor.is_new_browser || !is_from_our_pages(call.request, services_.settings.issuer) ||
        !constant_time_equal(form->get(field::kCsrf), seal("login", visitor.browser, id))) {
      co_return co_await refuse_with_page(
          call,
          error(ErrorCode::kAccessDenied, "This form did not come from our page, or is too old.", "csrf"),
          403);
    }
    std::optional<AuthorizationRequest> request;
    if (!id.empty()) {
      request = co_await load_request(call, id, visitor);
      if (!request)
        co_return co_await refuse_with_page(
            call, error(ErrorCode::kInvalidRequest,
                        "This request has ended, or was opened in another browser.", "request_unusable"));
    }
    std::shared_ptr<const User> user;
    if (is_utf8(username) && username.size() <= 255 && !username.empty()) {
      co_await services_.store.read(
          [&](store::ReadTransaction& transaction) { user = transaction.find_user_by_username(username); });
    }
    // An unknown person costs the same argon2id as a known one, and reads the same.
    std::string phc = user == nullptr ? std::string{} : user->password_hash;
    Secret password{std::string(form->get(field::kPassword))};
    const auto verdict = co_await services_.passwords.verify(std::move(phc), std::move(password));
    if (verdict == oauth::PasswordPool::Verdict::kBusy) co_return oauth::unavailable_response();
    if (user != nullptr) call.audit.user = user->id.text();
    if (request) {
      call.audit.client = request->client.text();
      call.audit.agent = request->agent.text();
    }
    bool signed_in = verdict == oauth::PasswordPool::Verdict::kRight && user->is_active();
    std::optional<NewSession> made;
    if (signed_in) made = make_session(call, *user);
    auto pending = call.commit([&](store::Transaction& transaction) {
      const auto current = user == nullptr ? nullptr : transaction.find_user(user->id);
      const bool stands = current != nullptr && current->is_active() && current->epoch == user->epoch &&
                          current->password_hash == user->password_hash;
      signed_in = made.has_value() && stands;
      if (!signed_in) {
        call.deny(error(ErrorCode::kAccessDenied, "",
                        user == nullptr ? "unknown_user" : (made ? "user_changed" : "wrong_password")));
        return;
      }
      // The id of a session before sign-in is never the id after it.
      if (visitor.session) (void)transaction.end_session(visitor.session->id, call.now);
      transaction.insert_session(made->session);
      call.audit.details.set("acr", made->session.sign_in.acr);
      call.allow();
    });
    co_await pending.durable();
    if (!signed_in) {
      co_return login_page(call, visitor, request ? &*request : nullptr, username,
                           "The user name or the password is not right.", 401);
    }
    http::Response response =
        http::redirect(request ? path("/consent") + "?request=" + request->id.text() : path("/agents"));
    response.headers.set("Cache-Control", "no-store");
    cookies_.set_session(response, made->cookie, services_.settings.session_lifetime);
    co_return response;
  });
}

Task<http::Response> FrontChannel::switch_account(http::Request& http_request) {
  return oauth::answer(services_, http_request, "login.switch", [this](Call& call) -> Task<http::Response> {
    auto form = oauth::read_form(call.request, {});
    if (!form) co_return co_await refuse_with_page(call, form.reason());
    const Visitor visitor = co_await who(call);
    const std::string id(form->get(field::kRequest));
    const std::string proof =
        visitor.session ? seal("consent", visitor.session->id.text(), id) : std::string{};
    const std::string_view sent = form->get(field::kCsrf);
    if (!visitor.session || !is_from_our_pages(call.request, services_.settings.issuer) ||
        !constant_time_equal(sent.substr(0, proof.size()), proof)) {
      co_return co_await refuse_with_page(
          call,
          error(ErrorCode::kAccessDenied, "This form did not come from our page, or is too old.", "csrf"),
          403);
    }
    call.audit.user = visitor.session->user.text();
    auto pending = call.commit([&](store::Transaction& transaction) {
      (void)transaction.end_session(visitor.session->id, call.now);
      call.allow();
    });
    co_await pending.durable();
    http::Response response =
        http::redirect(path("/login") + (is_ordered_id(id) ? "?request=" + id : std::string{}));
    cookies_.clear_session(response);
    co_return response;
  });
}

// ---- Consent ----

http::Response FrontChannel::consent_page(const Call& call, const oauth::Offer& offer,
                                          const Session& session) const {
  (void)call;
  ConsentPage view = consent_view(offer);
  view.action = path("/consent");
  view.switch_account_action = path("/switch-account");
  // Two seals: who may press the button, and what exactly was on the page.
  view.csrf = seal("consent", session.id.text(), offer.request.id.text()) + "." +
              seal("shown", session.id.text(), offer.fingerprint());
  const auto parts = split_uri(offer.request.redirect_uri);
  // The answer to the form is a redirect to the client, which browsers count as a form target.
  std::string target = std::string(parts->scheme) + ":";
  if (parts->authority && (parts->scheme == "http" || parts->scheme == "https")) {
    target = std::string(parts->scheme) + "://" + std::string(*parts->authority);
  }
  return page(200, templates_.render(view), target);
}

Task<http::Response> FrontChannel::show_consent(http::Request& http_request) {
  return oauth::answer(services_, http_request, "consent.show", [this](Call& call) -> Task<http::Response> {
    const auto form = http::Form::parse(call.request.query);
    Visitor visitor = co_await who(call);
    const std::string id(form ? form->get(field::kRequest) : "");
    const auto request = co_await load_request(call, id, visitor);
    if (!request)
      co_return co_await refuse_with_page(
          call, error(ErrorCode::kInvalidRequest, "This request has ended, or was opened in another browser.",
                      "request_unusable"));
    if (needs_sign_in(*request, visitor.session)) {
      co_return http::redirect(path("/login") + "?request=" + request->id.text());
    }
    std::optional<oauth::Offer> offer;
    std::optional<OAuthError> refusal;
    std::optional<Grant> covering;
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      auto made =
          oauth::make_offer(transaction, services_.settings, *request, visitor.session->user, call.now);
      if (!made) {
        refusal = made.reason();
        return;
      }
      offer = std::move(*made);
      if (!request->prompt.consent) covering = oauth::covering_grant(transaction, *offer, call.now);
    });
    if (refusal) {
      bool first = false;
      auto pending = call.commit([&](store::Transaction& transaction) {
        first = transaction.complete_request(request->id, call.now);
        call.audit.client = request->client.text();
        call.audit.agent = request->agent.text();
        call.audit.user = visitor.session->user.text();
        call.deny(*refusal);
      });
      co_await pending.durable();
      const oauth::ReturnAddress to = oauth::return_address(*request);
      co_return respond(to, oauth::error_parameters(services_.settings, to, *refusal));
    }
    if (covering) co_return co_await answer_with_code(call, *offer, *visitor.session, *covering);
    co_return consent_page(call, *offer, *visitor.session);
  });
}

Task<http::Response> FrontChannel::decide_consent(http::Request& http_request) {
  return oauth::answer(services_, http_request, "consent", [this](Call& call) -> Task<http::Response> {
    auto form = oauth::read_form(call.request, {field::kScope});
    if (!form) co_return co_await refuse_with_page(call, form.reason());
    const Visitor visitor = co_await who(call);
    const std::string id(form->get(field::kRequest));
    const std::string proof =
        visitor.session ? seal("consent", visitor.session->id.text(), id) : std::string{};
    const std::string_view sent = form->get(field::kCsrf);
    if (!visitor.session || !is_from_our_pages(call.request, services_.settings.issuer) ||
        sent.size() <= proof.size() || !constant_time_equal(sent.substr(0, proof.size()), proof)) {
      co_return co_await refuse_with_page(
          call,
          error(ErrorCode::kAccessDenied, "This form did not come from our page, or is too old.", "csrf"),
          403);
    }
    const std::string shown(sent.substr(proof.size() + 1));
    const auto request = co_await load_request(call, id, visitor);
    if (!request)
      co_return co_await refuse_with_page(
          call, error(ErrorCode::kInvalidRequest, "This request has ended, or was opened in another browser.",
                      "request_unusable"));
    if (needs_sign_in(*request, visitor.session))
      co_return http::redirect(path("/login") + "?request=" + request->id.text());
    const oauth::ReturnAddress to = oauth::return_address(*request);
    call.audit.client = request->client.text();
    call.audit.agent = request->agent.text();
    call.audit.user = visitor.session->user.text();
    const bool allow = form->get(field::kDecision) == field::kAllow;

    ScopeSet ticked;
    for (const std::string_view scope : form->all(field::kScope)) {
      if (ScopeSet::is_token(scope)) ticked.add(scope);
    }
    const oauth::Handle code{NodeId(call.new_id()), make_secret_text(services_.random)};
    const GrantId grant_id(call.new_id());
    enum class Result { kAllowed, kRefused, kGone, kChanged };
    Result result = Result::kGone;
    OAuthError refusal;
    auto pending = call.commit([&](store::Transaction& transaction) {
      const auto session = transaction.find_session(visitor.session->id);
      auto offer =
          oauth::make_offer(transaction, services_.settings, *request, visitor.session->user, call.now);
      const auto refuse_now = [&](OAuthError why) {
        // The refusal is final for this request, whatever button comes next.
        result = transaction.complete_request(request->id, call.now) ? Result::kRefused : Result::kGone;
        refusal = std::move(why);
        call.deny(refusal);
      };
      if (!session || session->ended_at) {
        result = Result::kGone;
        return call.deny(error(ErrorCode::kAccessDenied, "", "session_ended"));
      }
      if (!allow) {
        call.audit.event = "consent.deny";
        return refuse_now(error(ErrorCode::kAccessDenied, "the person said no", "denied_by_person"));  // X07
      }
      if (!offer) return refuse_now(offer.reason());
      if (!constant_time_equal(shown, seal("shown", visitor.session->id.text(), offer->fingerprint()))) {
        result = Result::kChanged;
        return call.deny(error(ErrorCode::kAccessDenied, "", "page_out_of_date"));
      }
      // Only what was offered can be given, whatever the form says (D-36).
      const ScopeSet given = ticked.intersect(offer->scopes);
      if (given.empty())
        return refuse_now(error(ErrorCode::kAccessDenied, "the person gave no permission", "nothing_ticked"));
      if (!transaction.complete_request(request->id, call.now)) {
        result = Result::kGone;
        return call.deny(error(ErrorCode::kInvalidRequest, "", "request_completed_before"));
      }
      call.audit.event = "consent.allow";
      transaction.touch_session(session->id, call.now);
      const Grant grant = oauth::make_grant(
          *offer,
          {.scopes = given, .onward = form->get(field::kOnward) == field::kAllow || offer->agent == nullptr},
          grant_id, call.now);
      transaction.insert_grant(grant);
      oauth::issue_code(call, transaction, *offer, grant, grant.scopes, session->sign_in, code);
      call.audit.details.set("shown", grant.shown);
      call.audit.details.set("onward_depth", grant.onward_depth);
      result = Result::kAllowed;
    });
    co_await pending.durable();
    switch (result) {
      case Result::kAllowed:
        co_return respond(to, oauth::success_parameters(services_.settings, to,
                                                        oauth::write_handle(oauth::kCodePrefix, code)));
      case Result::kRefused:
        co_return respond(to, oauth::error_parameters(services_.settings, to, refusal));
      case Result::kChanged:
        co_return http::redirect(path("/consent") + "?request=" + request->id.text());
      case Result::kGone:
        break;
    }
    co_return page(400,
                   templates_.render(ErrorPage{.title = "This request has ended",
                                               .message = "It was decided already, or your session ended.",
                                               .hint = "Go back to the app you came from and start again.",
                                               .reference = call.audit.request_id}));
  });
}

// ---- My agents ----

Task<http::Response> FrontChannel::show_agents(http::Request& http_request) {
  return oauth::answer(services_, http_request, "agents.show", [this](Call& call) -> Task<http::Response> {
    Visitor visitor = co_await who(call);
    if (!visitor.session) co_return login_page(call, visitor, nullptr, {}, {}, 200);
    const auto form = http::Form::parse(call.request.query);
    AgentsPage view;
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      const auto user = transaction.find_user(visitor.session->user);
      view.person = {.display_name = user->display_name, .username = user->username};
      view.agents = agent_entries(transaction, visitor.session->user, call.now);
    });
    view.sign_out_action = path("/sign-out");
    view.revoke_action = path("/agents/revoke");
    view.revoke_agent_action = path("/agents/revoke-agent");
    view.csrf = seal("agents", visitor.session->id.text(), "");
    if (form && form->get("done") == "revoked")
      view.notice = "Done. It can no longer act in your name, and neither can anything it had passed on.";
    co_return page(200, templates_.render(view));
  });
}

Task<http::Response> FrontChannel::end_my_grants(Call& call, bool whole_agent) {
  auto form = oauth::read_form(call.request, {});
  if (!form) co_return co_await refuse_with_page(call, form.reason());
  const Visitor visitor = co_await who(call);
  if (!visitor.session || !is_from_our_pages(call.request, services_.settings.issuer) ||
      !constant_time_equal(form->get(field::kCsrf), seal("agents", visitor.session->id.text(), ""))) {
    co_return co_await refuse_with_page(
        call, error(ErrorCode::kAccessDenied, "This form did not come from our page, or is too old.", "csrf"),
        403);
  }
  const UserId user = visitor.session->user;
  call.audit.user = user.text();
  const std::string grant_id(form->get(field::kDelegation));
  const std::string agent_id(form->get(field::kAgent));
  auto pending = call.commit([&](store::Transaction& transaction) {
    transaction.touch_session(visitor.session->id, call.now);
    size_t ended = 0;
    if (whole_agent) {
      call.audit.agent = agent_id;
      for (const Grant& grant : transaction.list_grants(
               {.user = user.text(), .client = {}, .agent = {}, .live_only = true, .limit = 10'000})) {
        if (grant.agent.text() == agent_id && oauth::end_grant(call, transaction, grant, "revoked_by_person"))
          ++ended;
      }
    } else {
      const auto grant = transaction.find_grant(GrantId(grant_id));
      // Someone else's looks like one that does not exist.
      if (!grant || grant->user != user)
        return call.deny(error(ErrorCode::kAccessDenied, "", "grant_of_other_person"));
      call.audit.grant = grant->id.text();
      call.audit.agent = grant->agent.text();
      call.audit.client = grant->client.text();
      if (oauth::end_grant(call, transaction, *grant, "revoked_by_person")) ++ended;
    }
    call.audit.details.set("ended", static_cast<int64_t>(ended));
    call.allow();
  });
  co_await pending.durable();
  co_return http::redirect(path("/agents?done=revoked"));
}

Task<http::Response> FrontChannel::revoke(http::Request& http_request) {
  return oauth::answer(services_, http_request, "agents.revoke",
                       [this](Call& call) { return end_my_grants(call, false); });
}

Task<http::Response> FrontChannel::revoke_agent(http::Request& http_request) {
  return oauth::answer(services_, http_request, "agents.revoke_agent",
                       [this](Call& call) { return end_my_grants(call, true); });
}

Task<http::Response> FrontChannel::sign_out(http::Request& http_request) {
  return oauth::answer(services_, http_request, "logout", [this](Call& call) -> Task<http::Response> {
    auto form = oauth::read_form(call.request, {});
    if (!form) co_return co_await refuse_with_page(call, form.reason());
    const Visitor visitor = co_await who(call);
    if (!visitor.session || !is_from_our_pages(call.request, services_.settings.issuer) ||
        !constant_time_equal(form->get(field::kCsrf), seal("agents", visitor.session->id.text(), ""))) {
      co_return co_await refuse_with_page(
          call,
          error(ErrorCode::kAccessDenied, "This form did not come from our page, or is too old.", "csrf"),
          403);
    }
    call.audit.user = visitor.session->user.text();
    auto pending = call.commit([&](store::Transaction& transaction) {
      (void)transaction.end_session(visitor.session->id, call.now);
      call.allow();
    });
    co_await pending.durable();
    http::Response response = page(
        200,
        templates_.render(NoticePage{
            .title = "Signed out",
            .message = "You are signed out. Agents you allowed keep their permissions until you revoke them.",
            .link = Link{.text = "My agents", .url = path("/agents")}}));
    cookies_.clear_session(response);
    co_return response;
  });
}

http::Response FrontChannel::home() const {
  HomePage view{.issuer = services_.settings.issuer,
                .agents_url = path("/agents"),
                .metadata = {{.text = "Server metadata (RFC 8414)",
                              .url = path("/.well-known/oauth-authorization-server")},
                             {.text = "Signing keys", .url = path("/jwks")}}};
  return page(200, templates_.render(view));
}

http::Response FrontChannel::not_found() const {
  return page(404, templates_.render(ErrorPage{.title = "There is nothing here",
                                               .message = "This address is not one of ours.",
                                               .hint = "",
                                               .reference = ""}));
}

}  // namespace behalf::console
