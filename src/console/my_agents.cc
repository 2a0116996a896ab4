// "My agents": what each agent may do for me, and taking it back.

#include "base/ordered_id.h"
#include "base/secret.h"
#include "console/front_channel.h"
#include "console/pages.h"
#include "console/visitor.h"
#include "oauth/endings.h"
#include "oauth/form.h"

namespace behalf::console {

using oauth::Call;
using oauth::ErrorCode;

namespace {

// Named in the address after something was taken back; what is said about it comes from the ledger.
constexpr std::string_view kEnded = "ended";

}  // namespace

Task<http::Response> FrontChannel::show_agents(http::Request& http_request) {
  return oauth::answer(services_, http_request, "agents.show", [this](Call& call) -> Task<http::Response> {
    Visitor visitor = co_await who(call);
    if (!visitor.session) co_return login_page(call, visitor, nullptr, {}, {}, 200);
    const auto form = http::Form::parse(call.request.query);
    const std::string ended(form ? form->get(kEnded) : "");
    AgentsPage view;
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      const UserId& id = visitor.session->user;
      const auto user = transaction.find_user(id);
      view.person = {.display_name = user->display_name, .username = user->username};
      MyGrants mine = my_grants(transaction, id, call.now);
      view.agents = std::move(mine.agents);
      view.ended_shown = mine.ended_shown;
      if (is_ordered_id(ended)) view.taken_back = just_taken_back(transaction, id, GrantId(ended), call.now);
    });
    view.sign_out_action = path("/sign-out");
    view.revoke_action = path("/agents/revoke");
    view.revoke_agent_action = path("/agents/revoke-agent");
    view.csrf = seal("agents", visitor.session->id.text(), "");
    co_return page(200, templates_.render(view));
  });
}

std::optional<FrontChannel::Words> FrontChannel::why_not_taken(Call& call, const Visitor& visitor,
                                                               const http::Form& form,
                                                               bool is_sign_out) const {
  const Link my_agents{.text = "My agents", .url = path("/agents")};
  if (!is_from_our_pages(call.request, services_.settings.issuer)) {
    return Words{.title = "This form did not come from our page",
                 .message = is_sign_out ? "You were not signed out." : "Nothing was revoked.",
                 .hint = "",
                 .link = my_agents};
  }
  if (!visitor.session) {
    return Words{
        .title = "You were signed out",
        .message = is_sign_out ? "Your session had ended already."
                               : "You were signed out; nothing was revoked yet. Sign in and revoke it again.",
        .hint = "",
        .link = Link{.text = "Sign in", .url = path("/agents")}};
  }
  if (!constant_time_equal(form.get(field::kCsrf), seal("agents", visitor.session->id.text(), ""))) {
    return Words{.title = "This page was too old",
                 .message = is_sign_out ? "You are still signed in. Open My agents and sign out there."
                                        : "Nothing was revoked yet. Open My agents and revoke it again.",
                 .hint = "",
                 .link = my_agents};
  }
  return std::nullopt;
}

Task<http::Response> FrontChannel::end_my_grants(Call& call, bool whole_agent) {
  auto form = oauth::read_form(call.request, {});
  if (!form) co_return co_await refuse_unreadable(call, form.reason(), "Nothing was revoked.");
  const Visitor visitor = co_await who(call);
  if (const auto words = why_not_taken(call, visitor, *form, false))
    co_return co_await refuse_with_page(call, error(ErrorCode::kAccessDenied, "", "csrf"), *words, 403);
  const UserId user = visitor.session->user;
  call.audit.user = user.text();
  const std::string grant_id(form->get(field::kDelegation));
  const std::string agent_id(form->get(field::kAgent));
  std::string one_of_them;  // what the page says afterwards is found by it
  auto pending = call.commit([&](store::Transaction& transaction) {
    transaction.touch_session(visitor.session->id, call.now);
    one_of_them.clear();
    size_t ended = 0;
    const auto end_those = [&](const auto& is_meant) {
      for (const Grant& grant : transaction.list_grants(
               {.user = user.text(), .client = {}, .agent = {}, .live_at = call.now, .limit = SIZE_MAX})) {
        if (!is_meant(grant) || !oauth::end_grant(call, transaction, grant, kByPerson)) continue;
        ++ended;
        one_of_them = grant.id.text();
      }
    };
    if (whole_agent) {
      call.audit.agent = agent_id;
      end_those([&](const Grant& grant) { return grant.agent.text() == agent_id; });
    } else {
      const auto grant = transaction.find_grant(GrantId(grant_id));
      // Someone else's looks like one that does not exist.
      if (!grant || grant->user != user)
        return call.deny(error(ErrorCode::kAccessDenied, "", "grant_of_other_person"));
      call.audit.grant = grant->id.text();
      call.audit.agent = grant->agent.text();
      call.audit.client = grant->client.text();
      // The page shows what was allowed twice once; taking it back takes all of it back.
      end_those([&](const Grant& other) { return allow_the_same(other, *grant); });
      one_of_them = grant_id;
    }
    call.audit.details.set("ended", static_cast<int64_t>(ended));
    call.allow();
  });
  co_await pending.durable();
  co_return http::redirect(path("/agents") + (one_of_them.empty()
                                                  ? std::string{}
                                                  : '?' + std::string(kEnded) + '=' + one_of_them));
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
    if (!form) co_return co_await refuse_unreadable(call, form.reason(), "You were not signed out.");
    const Visitor visitor = co_await who(call);
    if (const auto words = why_not_taken(call, visitor, *form, true))
      co_return co_await refuse_with_page(call, error(ErrorCode::kAccessDenied, "", "csrf"), *words, 403);
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

}  // namespace behalf::console
