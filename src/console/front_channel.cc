// /authorize: reads or opens the stored request and says what comes next. Every step of the front channel
// returns to the one dispatcher here (advance).
#include "console/front_channel.h"

#include "base/secret.h"
#include "base/uri.h"
#include "console/visitor.h"
#include "oauth/authorize.h"
#include "oauth/form.h"
#include "oauth/liveness.h"

namespace behalf::console {

using oauth::Call;
using oauth::ErrorCode;
using oauth::OAuthError;

FrontChannel::FrontChannel(oauth::Services& services, const Templates& templates)
    : services_(services), templates_(templates), cookies_(services.settings) {
  const auto parts = split_uri(services.settings.issuer);
  if (parts && parts->path != "/") base_path_ = std::string(parts->path);
}

std::string FrontChannel::path(std::string_view suffix) const { return base_path_ + std::string(suffix); }

std::string FrontChannel::prompt_name(const std::optional<Session>& session,
                                      const AuthorizationRequest& request) {
  return (session ? session->user.text() : std::string{}) + ' ' + request.client.text() + ' ' +
         request.agent.text();
}

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

Task<http::Response> FrontChannel::refuse_with_page(Call& call, OAuthError refusal, Words words, int status) {
  co_await oauth::record_refusal(call, refusal);
  // A name that somebody sent has no place on a page of ours.
  const std::string detail =
      refusal.reason == "repeated_parameter" ? "a parameter is sent more than once" : refusal.description;
  http::Response response = page(status, templates_.render(ErrorPage{.title = std::move(words.title),
                                                                     .message = std::move(words.message),
                                                                     .hint = std::move(words.hint),
                                                                     .reference = call.audit.request_id,
                                                                     .detail = detail,
                                                                     .link = std::move(words.link)}));
  if (refusal.retry_after.count > 0)
    response.headers.set("Retry-After", std::to_string(refusal.retry_after.count));
  co_return response;
}

// A request that has no address to go back to. It was never kept, so it has allowed nothing.
Task<http::Response> FrontChannel::refuse_request(Call& call, OAuthError refusal) {
  Words words{.title = "This request cannot go on",
              .message = "The app that sent you here made a request that cannot be answered.",
              .hint =
                  "Nothing was allowed. Go back to the app you came from. If this happens again, tell the "
                  "people who make it.",
              .link = {}};
  const std::string& reason = refusal.reason;
  if (reason == "client_unknown" || reason == "client_id_missing") {
    words.message = "The app that sent you here is not known, or no longer active.";
  } else if (reason == "grant_type_not_registered") {
    words.message = "The app that sent you here is not set up to ask people for permission.";
  } else if (reason == "redirect_uri_unregistered" || reason == "redirect_uri_missing") {
    words.message =
        "The app that sent you here does not say where the answer goes, or names an address that is not "
        "registered for it. It may be set up wrongly, or somebody may be pretending to be that app.";
  } else if (reason == "request_uri_foreign") {
    words.message = "The app that sent you here used a link that is not one of ours.";
  }
  co_return co_await refuse_with_page(call, std::move(refusal), std::move(words));
}

Task<http::Response> FrontChannel::refuse_unreadable(Call& call, OAuthError refusal,
                                                     std::string_view not_done) {
  Words words{.title = "This did not reach us whole",
              .message = "What your browser sent could not be read. " + std::string(not_done),
              .hint = "Go back, load the page again and repeat what you did.",
              .link = {}};
  co_return co_await refuse_with_page(call, std::move(refusal), std::move(words));
}

Task<http::Response> FrontChannel::refuse_form(Call& call, std::string_view not_done) {
  Words words{.title = "This form was not taken",
              .message = "It did not come from our page, or the page was too old. " + std::string(not_done),
              .hint = "Go back to the app you came from and start again.",
              .link = {}};
  co_return co_await refuse_with_page(call, error(ErrorCode::kAccessDenied, "", "csrf"), std::move(words),
                                      403);
}

FrontChannel::Words FrontChannel::words_for(Unusable why) const {
  Link my_agents{.text = "My agents", .url = path("/agents")};
  switch (why) {
    case Unusable::kAnswered:
      return {.title = "This request is answered",
              .message =
                  "You have already answered this request, or it was ended for you. A request is "
                  "answered once. What you allow is listed under My agents.",
              .hint = "",
              .link = std::move(my_agents)};
    case Unusable::kTooOld:  // only an answer makes a grant
      return {.title = "This request is too old",
              .message = "It was not answered in time, so it has allowed nothing.",
              .hint = "Go back to the app you came from and start again.",
              .link = {}};
    case Unusable::kUnknown:
      break;
  }
  return {
      .title = "This request cannot go on",
      .message = "It has ended, or was opened in another browser. What you allow is listed under My agents.",
      .hint = "To allow something new, go back to the app you came from and start again.",
      .link = std::move(my_agents)};
}

http::Response FrontChannel::unusable_page(Call& call, Unusable why) const {
  Words words = words_for(why);
  if (why == Unusable::kAnswered) {  // no fault: what was asked has its answer
    return page(400, templates_.render(NoticePage{.title = std::move(words.title),
                                                  .message = std::move(words.message),
                                                  .link = std::move(words.link)}));
  }
  return page(400, templates_.render(ErrorPage{.title = std::move(words.title),
                                               .message = std::move(words.message),
                                               .hint = std::move(words.hint),
                                               .reference = call.audit.request_id,
                                               .link = std::move(words.link)}));
}

Task<http::Response> FrontChannel::refuse_unusable(Call& call, Unusable why) {
  co_await oauth::record_refusal(call, error(ErrorCode::kInvalidRequest, "", "request_unusable"));
  co_return unusable_page(call, why);
}

Task<http::Response> FrontChannel::refuse_to_client(Call& call, const oauth::ReturnAddress& to,
                                                    OAuthError refusal) {
  co_await oauth::record_refusal(call, refusal);
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
          co_return co_await refuse_request(call, body.reason());
      } else {
        form = std::move(*body);
      }
    } else {
      form = http::Form::parse(call.request.query);
    }
    if (!form)
      co_return co_await refuse_request(
          call, error(ErrorCode::kInvalidRequest, "the request is not well-formed", "malformed_query"));
    Visitor visitor = co_await who(call);
    if (form->has("request_uri")) co_return co_await open_pushed(call, *form, visitor);

    auto read = oauth::read_authorization_request(call, *form, oauth::Channel::kBrowser);
    if (!read) {
      const oauth::AuthorizationRefusal& refusal = read.reason();
      if (!refusal.return_to) co_return co_await refuse_request(call, refusal.error);
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
  // What stands beside it counts for nothing (RFC 9126 §4), but is judged like what stands alone.
  if (form.repeated({})) {
    co_return co_await refuse_request(
        call, error(ErrorCode::kInvalidRequest, "a parameter is sent more than once", "repeated_parameter"));
  }
  if (is_registry_id(form.get("client_id"))) call.audit.client = form.get("client_id");
  if (form.has("actor_token") || form.has("actor_token_type")) {  // D-34
    co_return co_await refuse_request(
        call, error(ErrorCode::kInvalidRequest, "actor_token must not travel through the browser",
                    "credential_exposure_actor_token"));
  }
  const auto handle = oauth::parse_handle(oauth::kRequestUriPrefix, uri);
  if (!handle) {
    // A request_uri elsewhere is never fetched (RFC 9101 §10.4).
    const bool is_ours = uri.starts_with(oauth::kRequestUriPrefix);
    co_return co_await refuse_request(
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
    } else if ((form.has("requested_actor") && form.get("requested_actor") != request->agent.text()) ||
               (services_.settings.legacy_draft00 && form.has("requested_agent") &&
                form.get("requested_agent") != request->agent.text())) {  // D-32
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
    if (reason == "request_uri_used" && !request->browser_hash.empty() &&
        constant_time_equal(request->browser_hash, visitor.browser_hash))
      co_return unusable_page(call, Unusable::kAnswered);
    Words words = words_for(Unusable::kUnknown);
    co_return page(
        400,
        templates_.render(ErrorPage{
            .title = "This link no longer works",
            .message = "It was used already, has expired, or belongs to another app or browser. What you "
                       "allow is listed under My agents.",
            .hint = std::move(words.hint),
            .reference = call.audit.request_id,
            .link = std::move(words.link)}));
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
  oauth::Limits& limits = services_.limits;
  const std::string network = oauth::network_of(call.request.peer);
  const std::string prompt = prompt_name(visitor.session, request);
  if (!visitor.session) {
    // Kept on disk for whoever asks: not without end.
    if (const auto wait = limits.wait(oauth::Limits::Kind::kOpenRequest, {network})) {
      Words words{.title = "Too many requests",
                  .message = "Too many requests came from your network without anybody signing in. Wait " +
                             in_words(*wait) + " before you try again.",
                  .hint = "Nothing was allowed.",
                  .link = {}};
      co_return co_await refuse_with_page(call, oauth::too_many_requests(*wait, "limit_open_requests"),
                                          std::move(words), 429);
    }
  }
  std::optional<Grant> covering;
  std::optional<oauth::Offer> offer;
  if (!must_sign_in) {
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      auto made = oauth::make_offer(transaction, services_.settings, request, *visitor.session, call.now);
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
    // Asking again and again until somebody says yes is no way to get consent.
    if (!refusal && limits.wait(oauth::Limits::Kind::kPrompt, {prompt})) {
      refusal =
          error(ErrorCode::kAccessDenied, "the person was asked too often; try again later", "limit_prompts");
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
  if (!visitor.session)
    limits.charge(oauth::Limits::Kind::kOpenRequest, {network});
  else if (!must_sign_in)
    limits.charge(oauth::Limits::Kind::kPrompt, {prompt});
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

// The stored request, if this browser is the one it is bound to and it is still open; else why it is not.
Task<Result<AuthorizationRequest, FrontChannel::Unusable>> FrontChannel::load_request(
    Call& call, std::string_view id, const Visitor& visitor) {
  std::optional<AuthorizationRequest> request;
  if (is_ordered_id(id)) {
    co_await services_.store.read(
        [&](store::ReadTransaction& transaction) { request = transaction.find_request(RequestId(id)); });
  }
  // Only the browser that it is bound to is told more.
  if (!request || request->browser_hash.empty() ||
      !constant_time_equal(request->browser_hash, visitor.browser_hash))
    co_return Refused{Unusable::kUnknown};
  if (request->completed_at) co_return Refused{Unusable::kAnswered};
  if (request->expires_at <= call.now) co_return Refused{Unusable::kTooOld};
  co_return std::move(*request);
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
