// The consent page and the decision on it: bound to the session, to the request, and to exactly what was
// shown.

#include "base/secret.h"
#include "base/uri.h"
#include "console/front_channel.h"
#include "console/pages.h"
#include "console/visitor.h"
#include "oauth/authorize.h"
#include "oauth/form.h"

namespace behalf::console {

using oauth::Call;
using oauth::ErrorCode;
using oauth::OAuthError;

http::Response FrontChannel::consent_page(const oauth::Offer& offer, const Session& session) const {
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
    if (!request) co_return co_await refuse_unusable(call, request.reason());
    if (needs_sign_in(*request, visitor.session)) {
      co_return http::redirect(path("/login") + "?request=" + request->id.text());
    }
    std::optional<oauth::Offer> offer;
    std::optional<OAuthError> refusal;
    std::optional<Grant> covering;
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      auto made = oauth::make_offer(transaction, services_.settings, *request, *visitor.session, call.now);
      if (!made) {
        refusal = made.reason();
        return;
      }
      offer = std::move(*made);
      if (!request->prompt.consent) covering = oauth::covering_grant(transaction, *offer, call.now);
    });
    if (refusal) {
      auto pending = call.commit([&](store::Transaction& transaction) {
        (void)transaction.complete_request(request->id,
                                           call.now);  // ended before or now: the answer is the same
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
    co_return consent_page(*offer, *visitor.session);
  });
}

Task<http::Response> FrontChannel::decide_consent(http::Request& http_request) {
  return oauth::answer(services_, http_request, "consent", [this](Call& call) -> Task<http::Response> {
    auto form = oauth::read_form(call.request, {field::kScope});
    if (!form) co_return co_await refuse_unreadable(call, form.reason(), "Your answer was not taken.");
    const Visitor visitor = co_await who(call);
    const std::string id(form->get(field::kRequest));
    const std::string proof =
        visitor.session ? seal("consent", visitor.session->id.text(), id) : std::string{};
    const std::string_view sent = form->get(field::kCsrf);
    if (!visitor.session || !is_from_our_pages(call.request, services_.settings.issuer) ||
        sent.size() <= proof.size() || !constant_time_equal(sent.substr(0, proof.size()), proof)) {
      co_return co_await refuse_form(call, "Your answer was not taken.");
    }
    const std::string shown(sent.substr(proof.size() + 1));
    const auto request = co_await load_request(call, id, visitor);
    if (!request) co_return co_await refuse_unusable(call, request.reason());
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
    enum class Outcome { kAllowed, kRefused, kGone, kChanged, kSignedOut };
    Outcome result = Outcome::kGone;
    OAuthError refusal;
    auto pending = call.commit([&](store::Transaction& transaction) {
      const auto session = transaction.find_session(visitor.session->id);
      auto offer = oauth::make_offer(transaction, services_.settings, *request, *visitor.session, call.now);
      const auto refuse_now = [&](OAuthError why) {
        // The refusal is final for this request, whatever button comes next.
        result = transaction.complete_request(request->id, call.now) ? Outcome::kRefused : Outcome::kGone;
        refusal = std::move(why);
        call.deny(refusal);
      };
      const auto said_no = [&](std::string_view reason) {  // X07; without an agent it is RFC 6749's alone
        return request->agent.empty()
                   ? error(ErrorCode::kAccessDenied, "the person said no", reason)
                   : oauth::actor_error(services_.settings.error_dialect, oauth::ActorError::kDenied, reason);
      };
      if (!session || session->ended_at) {
        result = Outcome::kSignedOut;
        return call.deny(error(ErrorCode::kAccessDenied, "", "session_ended"));
      }
      if (!allow) {
        call.audit.event = "consent.deny";
        return refuse_now(said_no("denied_by_person"));
      }
      if (!offer) return refuse_now(offer.reason());
      if (!constant_time_equal(shown, seal("shown", visitor.session->id.text(), offer->fingerprint()))) {
        result = Outcome::kChanged;
        return call.deny(error(ErrorCode::kAccessDenied, "", "page_out_of_date"));
      }
      // Only what was offered can be given, whatever the form says (D-36).
      const ScopeSet given = ticked.intersect(offer->scopes);
      if (given.empty()) return refuse_now(said_no("nothing_ticked"));
      if (!transaction.complete_request(request->id, call.now)) {
        result = Outcome::kGone;
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
      if (!grant.purpose.empty()) call.audit.details.set("purpose", grant.purpose);
      call.audit.details.set("text_version", templates_.consent_version());
      call.audit.details.set("locale", Templates::kLocale);
      call.audit.details.set("onward_depth", grant.onward_depth);
      result = Outcome::kAllowed;
    });
    co_await pending.durable();
    switch (result) {
      case Outcome::kAllowed:
        services_.limits.refund(oauth::Limits::Kind::kPrompt, {prompt_name(visitor.session, *request)});
        co_return respond(to, oauth::success_parameters(services_.settings, to,
                                                        oauth::write_handle(oauth::kCodePrefix, code)));
      case Outcome::kRefused:
        co_return respond(to, oauth::error_parameters(services_.settings, to, refusal));
      case Outcome::kChanged:
        co_return http::redirect(path("/consent") + "?request=" + request->id.text());
      case Outcome::kSignedOut:
        co_return http::redirect(path("/login") + "?request=" + request->id.text());
      case Outcome::kGone:
        break;
    }
    co_return unusable_page(call, Unusable::kAnswered);
  });
}

}  // namespace behalf::console
