#include "oauth/grants/hop.h"

#include <algorithm>

#include "oauth/authority.h"
#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

// The next actor and why it may be one.
struct NextActor {
  std::optional<Actor> actor;  // none: the holder narrows its own token, the chain stays as it is
  const OnwardPolicy* own_policy = nullptr;
  const std::vector<std::string>* reenter_after = nullptr;
};

// RFC 8693 §4.4: every member given must be true of the actor (D-73).
bool may_act_names(const json::Value& may_act, const Actor& actor, const std::string& issuer) {
  if (may_act.object() == nullptr || may_act.find_string("sub") == nullptr) return false;
  for (const json::Member& member : *may_act.object()) {
    const std::string* value = member.value.string();
    if (value == nullptr) return false;
    const std::string_view profile = actor.kind == ActorKind::kAgent ? "ai_agent" : "service";
    const bool is_true = (member.name == "sub" && *value == actor.id) ||
                         (member.name == "iss" && *value == issuer) ||
                         (member.name == "sub_profile" && *value == profile);
    if (!is_true) return false;
  }
  return true;
}

class Hop {
 public:
  Hop(Call& call, const TokenRequest& request, const HopRequest& asked, ErrorCode bad_subject,
      store::Transaction& transaction)
      : call_(call),
        request_(request),
        asked_(asked),
        bad_subject_(bad_subject),
        transaction_(transaction),
        client_(request.client.registration()) {}

  Answer<Issuance> decide() {
    TRY(load_subject());
    TRY(find_target());
    const NextActor next = TRY(find_actor());
    const DelegationChain chain = TRY(extend_chain(next));

    const Standing standing = what_stands(transaction_, *subject_, subject_resource_.get());
    if (!standing.refused.empty()) return bad_subject("subject_" + std::string(standing.refused));
    const ScopeSet& held = standing.scope;
    if (held.empty() && !subject_->scope.empty()) return bad_subject("subject_scope_withdrawn");
    const bool is_called = is_audience_ && !is_narrowing();
    const ScopeSet reachable = is_called ? scopes_through(held, subject_resource_.get()) : held;
    std::optional<ScopeSet> wanted = asked_.scope;
    if (asked_.all_scopes_of_target) wanted.reset();
    const ScopeSet granted = TRY(narrow(
        transaction_, wanted, reachable,
        {.client = &client_, .chain = &chain, .subject = &subject_->subject, .resource = target_.get()}));
    if (subject_->subject.kind == SubjectKind::kUser) {
      const std::string_view acr = missing_acr(*target_, granted, subject_->sign_in);
      if (!acr.empty()) {
        return refuse_until_step_up(
            asked_.must_be_audience ? StepUpDialect::kMicrosoft : StepUpDialect::kRfc9470, acr);
      }
    }

    Issuance issuance;
    issuance.resource = target_;
    Node node = child_of(*subject_, request_.access_token_id, NodeKind::kAccessToken, call_.now);
    node.client = client_.id;
    node.client_epoch = client_.epoch;
    if (subject_->client != client_.id) {
      const ClientStamp above{subject_->client, subject_->client_epoch};
      if (std::find(node.via.begin(), node.via.end(), above) == node.via.end()) node.via.push_back(above);
    }
    if (next.actor) {
      node.passed_on.push_back(
          {subject_->client, subject_->resource, subject_->scope, subject_->chain.depth()});
    }
    if (chain.depth() != subject_->chain.depth())
      node.depth_left = depth_left_after(subject_->depth_left, next.own_policy);
    node.scope = granted;
    node.resource = target_->id;
    const Seconds lifetime =
        limit_passed_on(transaction_, subject_->subject, chain,
                        access_token_lifetime(transaction_, call_.settings(), client_, chain, target_.get()));
    const auto end =
        usable_end(call_.now, earliest_end(call_.now, lifetime, {subject_->expires_at}));  // D-64
    if (!end) return bad_subject("subject_about_to_expire");
    node.expires_at = *end;
    node.chain = chain;
    node.hides_act = asked_.must_be_audience && !call_.settings().obo_emit_act;
    // Where nobody new acts, the restriction on who may act next stays.
    if (!next.actor) node.may_act = subject_->may_act;
    issuance.access_token = std::move(node);
    if (asked_.offline) add_refresh_token(issuance);
    if (!subject_->grant.empty()) {
      if (const auto grant = transaction_.find_grant(subject_->grant))
        transaction_.touch_grant(*grant, call_.now);
    }
    return issuance;
  }

 private:
  // Only if the person allowed use while away, this client has the grant type, and every actor of the chain
  // may have one (D-31). Its end is set once and for all, within the consent's and within what the ledger
  // keeps.
  void add_refresh_token(Issuance& issuance) {
    const Node& access = issuance.access_token;
    if (access.grant.empty()) return;
    const auto grant = transaction_.find_grant(access.grant);
    const auto lifetime = refresh_token_lifetime(transaction_, client_, access.chain);
    if (!grant || !grant->offline || !lifetime) return;
    Node node = child_of(access, request_.refresh_token_id, NodeKind::kRefreshToken, call_.now);
    node.secret_hash = call_.services.keys.lookup_hash(request_.refresh_secret);
    node.resources = {target_->id};
    node.offline = true;
    const Seconds longest =
        limit_passed_on(transaction_, access.subject, access.chain, std::min(*lifetime, kKeepExpired));
    node.expires_at = earliest_end(call_.now, longest, {grant->expires_at});
    issuance.new_refresh_token = std::move(node);
    issuance.refresh_token =
        write_handle(kRefreshTokenPrefix, {request_.refresh_token_id, request_.refresh_secret});
  }

  Refused<OAuthError> bad_subject(std::string_view reason) const {
    return refuse(bad_subject_,
                  bad_subject_ == ErrorCode::kInvalidGrant ? "the assertion is not acceptable"
                                                           : "the subject_token is not acceptable",
                  reason);
  }
  // Policy says no. On-Behalf-Of keeps its own codes whatever the dialect (D-83).
  Refused<OAuthError> bad_actor(std::string_view reason) const {
    const ErrorDialect dialect =
        asked_.must_be_audience ? ErrorDialect::kRegistered : call_.settings().error_dialect;
    return Refused{actor_error(dialect, ActorError::kUnauthorized, reason)};
  }
  // The chain would have a shape that no policy can allow.
  static Refused<OAuthError> bad_chain(std::string_view reason) {
    return refuse(ErrorCode::kInvalidRequest, "the actor may not act here", reason);
  }

  Answer<Fine> load_subject() {
    subject_ = transaction_.find_node(asked_.subject.node);
    if (subject_ == nullptr || !asked_.subject.proves(*subject_)) return bad_subject("subject_unknown");
    call_.audit.parent = subject_->id.text();
    call_.audit.grant = subject_->grant.text();
    call_.audit.lineage = subject_->root.text();
    call_.audit.chain = subject_->chain;
    if (subject_->subject.kind == SubjectKind::kUser) call_.audit.user = subject_->subject.id;
    if (subject_->is_actor_token) return bad_subject("subject_is_actor_token");
    if (subject_->scope.shares_any(server_scopes())) return bad_subject("subject_is_server_token");
    const std::string_view dead = why_dead(transaction_, *subject_, call_.now);
    if (!dead.empty()) {
      auto refusal = bad_subject("subject_" + std::string(dead));
      if (asked_.must_be_audience && is_consent_over())
        refusal.reason.extra = ",\"suberror\":\"consent_required\"";
      return refusal;
    }
    // D-61: presented by the client it was issued to, or by the resource it is addressed to. Nobody else.
    is_holder_ = subject_->client == client_.id;
    is_audience_ = !client_.resource.empty() && client_.resource == subject_->resource;
    if (asked_.must_be_audience ? !is_audience_ : !(is_holder_ || is_audience_)) {
      return bad_subject("subject_not_for_this_client");
    }
    subject_resource_ = transaction_.find_resource(subject_->resource);
    if (subject_->subject.kind == SubjectKind::kAgent) {
      subject_agent_ = transaction_.find_agent(AgentId(subject_->subject.id));
    }
    return Fine{};
  }

  // D-83: tells a tier that the person must decide anew, not merely sign in.
  bool is_consent_over() {
    if (subject_->grant.empty()) return false;
    const auto grant = transaction_.find_grant(subject_->grant);
    return grant != nullptr && (grant->ended_at || grant->expires_at <= call_.now);
  }

  // A holder stays where its token is good, whatever else was consented to (I3); only the audience calls on.
  Answer<Fine> find_target() {
    target_ = asked_.target == nullptr ? subject_resource_ : transaction_.find_resource(asked_.target->id);
    if (target_ == nullptr)
      return refuse(ErrorCode::kInvalidTarget, "the resource is not known here", "target_unknown");
    if (target_->id == subject_->resource || is_audience_) return Fine{};
    return refuse(ErrorCode::kInvalidTarget, "the subject_token does not reach this resource",
                  "target_widening");
  }

  // D-66: the same client makes its own token smaller, and nobody new acts. One that goes elsewhere is no
  // smaller one: there its holder, being its audience too, calls on like any other.
  bool is_narrowing() const {
    return is_holder_ && !asked_.must_be_audience && asked_.actor == nullptr &&
           target_->id == subject_->resource;
  }

  Answer<NextActor> find_actor() {
    const Actor* current = subject_->chain.outermost();
    NextActor next;
    if (asked_.actor != nullptr) {
      const Agent& agent = *asked_.actor;
      next.actor = Actor{ActorKind::kAgent, agent.id.text(), agent.epoch, asked_.actor_instance};
      next.own_policy = &agent.onward;
      next.reenter_after = &agent.reenter_after;
      call_.audit.agent = agent.id.text();
    } else if (is_narrowing()) {
      // It stays what it was, with the chain it had; the agent that acts is asked again (D-23).
      if (current != nullptr && current->kind == ActorKind::kAgent) {
        const auto agent = transaction_.find_agent(AgentId(current->id));
        const std::string_view refusal =
            agent == nullptr ? "agent_inactive"
                             : why_not_allowed(*agent, client_, subject_->subject, target_.get());
        if (!refusal.empty()) return bad_actor(refusal);
      }
      return next;
    } else {
      TRY(client_itself(next));
    }
    if (next.actor->kind == ActorKind::kAgent) {
      const auto agent = transaction_.find_agent(AgentId(next.actor->id));
      if (agent == nullptr) return bad_actor("agent_inactive");
      const std::string_view refusal = why_not_allowed(*agent, client_, subject_->subject, nullptr);
      if (!refusal.empty()) return bad_actor(refusal);
      if (!agent->resources.allows(target_->id.text())) {
        return refuse(ErrorCode::kInvalidTarget, "the agent may not reach this resource",
                      "agent_not_for_this_resource");
      }
    }
    const bool named = !subject_->may_act.is_null() &&
                       may_act_names(subject_->may_act, *next.actor, call_.settings().issuer);
    if (!subject_->may_act.is_null() && !named) return bad_actor("may_act_mismatch");
    // An agent that is brought in where no agent has passed on needs a basis: the person never named it
    // (D-73).
    const bool is_own_identity =
        next.actor->id == client_.agent.text() || next.actor->id == client_.id.text();
    const bool is_same = current != nullptr && current->id == next.actor->id;
    const bool passed_on_by_agent =
        (current != nullptr && current->kind == ActorKind::kAgent) || subject_agent_ != nullptr;
    const bool introduced = std::find(client_.introduces.begin(), client_.introduces.end(), next.actor->id) !=
                            client_.introduces.end();
    if (!passed_on_by_agent && !is_same && !named && !introduced && !(is_own_identity && is_audience_)) {
      return bad_actor("no_basis_for_this_actor");
    }
    return next;
  }

  // No actor token, and another client's token: the resource it is addressed to acts as itself, if it may.
  Answer<Fine> client_itself(NextActor& next) {
    if (!client_.agent.empty()) {
      own_agent_ = transaction_.find_agent(client_.agent);
      if (own_agent_ == nullptr || !own_agent_->is_active()) return bad_actor("agent_inactive");
      next.actor = Actor{ActorKind::kAgent, own_agent_->id.text(), own_agent_->epoch};
      next.own_policy = &own_agent_->onward;
      next.reenter_after = &own_agent_->reenter_after;
      call_.audit.agent = own_agent_->id.text();
      return Fine{};
    }
    const Actor service{ActorKind::kService, client_.id.text(), client_.epoch};
    // D-66: never plain impersonation; without a basis there is no token. An On-Behalf-Of registration is one
    // (D-82).
    const bool may_act = asked_.must_be_audience || client_.acts_as_service ||
                         may_act_names(subject_->may_act, service, call_.settings().issuer);
    if (!may_act) {
      return refuse(ErrorCode::kInvalidRequest,
                    "actor_token is required: without an actor this would be impersonation", "no_actor");
    }
    next.actor = service;
    return Fine{};
  }

  Answer<DelegationChain> extend_chain(const NextActor& next) {
    if (!next.actor) return subject_->chain;
    const Actor* current = subject_->chain.outermost();
    // Keeps the agent that passes on alive for as long as its policy is looked at.
    passing_agent_ = current != nullptr && current->kind == ActorKind::kAgent
                         ? transaction_.find_agent(AgentId(current->id))
                         : (current == nullptr ? subject_agent_ : nullptr);
    onward_ = passing_agent_ == nullptr ? nullptr : &passing_agent_->onward;
    // An agent that acts alone and comes back as itself adds nothing.
    if (current == nullptr && subject_agent_ != nullptr && subject_agent_->id.text() == next.actor->id)
      return subject_->chain;
    // The agent that acts already is no further hop (D-67), but at another client it is passed on as well.
    if (current != nullptr && current->kind == next.actor->kind && current->id == next.actor->id &&
        !is_holder_ && subject_->depth_left < 1) {
      return bad_actor("onward_depth_used_up");
    }
    auto chain = extend(subject_->chain, *next.actor,
                        {.max_depth = call_.settings().max_chain_depth,
                         .onward = onward_,
                         .depth_left = subject_->depth_left,
                         .reenter_after = next.reenter_after});
    if (chain) return std::move(chain).value();
    switch (chain.reason()) {
      case DelegationRefusal::kLoop:
        return bad_chain("chain_loop");
      case DelegationRefusal::kTooDeep:
        return bad_chain("chain_too_deep");
      case DelegationRefusal::kOnwardForbidden:
        return bad_actor("onward_forbidden");
      case DelegationRefusal::kConsentForbids:
        return bad_actor("onward_depth_used_up");
    }
    return bad_chain("refused");
  }

  Call& call_;
  const TokenRequest& request_;
  const HopRequest& asked_;
  const ErrorCode bad_subject_;
  store::Transaction& transaction_;
  const Client& client_;
  std::shared_ptr<const Node> subject_;
  std::shared_ptr<const Resource> subject_resource_;
  std::shared_ptr<const Agent> subject_agent_;
  std::shared_ptr<const Agent> own_agent_;
  std::shared_ptr<const Agent> passing_agent_;
  std::shared_ptr<const Resource> target_;
  const OnwardPolicy* onward_ = nullptr;
  bool is_holder_ = false;
  bool is_audience_ = false;
};

}  // namespace

Answer<Issuance> hop(Call& call, const TokenRequest& request, const HopRequest& asked, ErrorCode bad_subject,
                     store::Transaction& transaction) {
  return Hop(call, request, asked, bad_subject, transaction).decide();
}

}  // namespace behalf::oauth
