// Sign-in: the page, the password (on its own pool), a session made anew. Unknown people cost and read the
// same as wrong passwords.

#include "base/secret.h"
#include "console/front_channel.h"
#include "console/visitor.h"
#include "oauth/form.h"

namespace behalf::console {

using oauth::Call;
using oauth::ErrorCode;

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
    if (!request) co_return co_await refuse_unusable(call, request.reason());
    co_return login_page(call, visitor, &*request, {}, {}, 200);
  });
}

Task<http::Response> FrontChannel::login(http::Request& http_request) {
  return oauth::answer(services_, http_request, "login", [this](Call& call) -> Task<http::Response> {
    auto form = oauth::read_form(call.request, {});
    if (!form) co_return co_await refuse_unreadable(call, form.reason(), "You were not signed in.");
    Visitor visitor = co_await who(call);
    const std::string id(form->get(field::kRequest));
    const std::string username(form->get(field::kUsername));
    if (visitor.is_new_browser || !is_from_our_pages(call.request, services_.settings.issuer) ||
        !constant_time_equal(form->get(field::kCsrf), seal("login", visitor.browser, id))) {
      co_return co_await refuse_form(call, "You were not signed in.");
    }
    std::optional<AuthorizationRequest> request;
    if (!id.empty()) {
      auto found = co_await load_request(call, id, visitor);
      if (!found) co_return co_await refuse_unusable(call, found.reason());
      request = std::move(found).value();
    }
    // Counted before the password is looked at, so that many at once gain nothing. By address, so that a
    // stranger locks nobody out; the same for people who do not exist.
    using Kind = oauth::Limits::Kind;
    oauth::Limits& limits = services_.limits;
    const std::string network = oauth::network_of(call.request.peer);
    auto wait = limits.wait(Kind::kAccount, {username, network});
    if (!wait) wait = limits.wait(Kind::kAddress, {network});
    if (wait) {
      co_await oauth::record_refusal(call, oauth::too_many_requests(*wait, "limit_sign_in"));
      http::Response response =
          login_page(call, visitor, request ? &*request : nullptr, username,
                     "Too many attempts. Wait " + in_words(*wait) + " before you try again.", 429);
      response.headers.set("Retry-After", std::to_string(wait->count));
      co_return response;
    }
    limits.charge(Kind::kAccount, {username, network});
    limits.charge(Kind::kAddress, {network});
    const auto refund = [&] {
      limits.refund(Kind::kAccount, {username, network});
      limits.refund(Kind::kAddress, {network});
    };
    std::shared_ptr<const User> user;
    if (is_utf8(username) && username.size() <= 255 && !username.empty()) {
      co_await services_.store.read(
          [&](store::ReadTransaction& transaction) { user = transaction.find_user_by_username(username); });
    }
    // An unknown person costs the same argon2id as a known one, and reads the same.
    std::string phc = user == nullptr ? std::string{} : user->password_hash;
    Secret password{std::string(form->get(field::kPassword))};
    const auto verdict = co_await services_.passwords.verify(std::move(phc), std::move(password));
    if (verdict == oauth::PasswordPool::Verdict::kBusy) {
      refund();
      http::Response busy = page(
          503,
          templates_.render(ErrorPage{.title = "Too many people sign in at this moment",
                                      .message = "Nothing is wrong with your password; it was not looked at.",
                                      .hint = "Try again in a few seconds.",
                                      .reference = call.audit.request_id}));
      busy.headers.set("Retry-After", "2");
      co_return busy;
    }
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
      if (const uint32_t most = services_.settings.limits.sessions_per_user; most > 0) {
        const size_t ended = transaction.end_oldest_sessions(user->id, most, call.now);
        if (ended > 0) call.audit.details.set("sessions_ended", static_cast<int64_t>(ended));
      }
      call.audit.details.set("acr", made->session.sign_in.acr);
      call.allow();
    });
    co_await pending.durable();
    if (!signed_in) {
      co_return login_page(call, visitor, request ? &*request : nullptr, username,
                           "The username or the password is not right.", 401);
    }
    refund();
    if (request) limits.charge(Kind::kPrompt, {prompt_name(made->session, *request)});
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
    if (!form) co_return co_await refuse_unreadable(call, form.reason(), "The account was not changed.");
    const Visitor visitor = co_await who(call);
    const std::string id(form->get(field::kRequest));
    const std::string proof =
        visitor.session ? seal("consent", visitor.session->id.text(), id) : std::string{};
    const std::string_view sent = form->get(field::kCsrf);
    if (!visitor.session || !is_from_our_pages(call.request, services_.settings.issuer) ||
        !constant_time_equal(sent.substr(0, proof.size()), proof)) {
      co_return co_await refuse_form(call, "The account was not changed.");
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

}  // namespace behalf::console
