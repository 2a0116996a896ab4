// "My agents": what each agent may do for me, and taking it back.

#include "base/secret.h"
#include "console/front_channel.h"
#include "console/pages.h"
#include "console/visitor.h"
#include "oauth/endings.h"
#include "oauth/form.h"

namespace behalf::console {

using oauth::Call;
using oauth::ErrorCode;

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
      const Grant& given = *grant;
      if (oauth::end_grant(call, transaction, given, "revoked_by_person")) ++ended;
      // The page shows what was allowed twice once; taking it back takes all of it back.
      for (const Grant& again : transaction.list_grants(
               {.user = user.text(), .client = {}, .agent = {}, .live_only = true, .limit = 10'000})) {
        if (allow_the_same(again, given) && oauth::end_grant(call, transaction, again, "revoked_by_person"))
          ++ended;
      }
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

}  // namespace behalf::console
