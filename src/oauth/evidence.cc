#include "oauth/evidence.h"

#include <algorithm>

#include "model/evidence.h"
#include "oauth/bearer.h"
#include "oauth/json_body.h"

namespace behalf::oauth {
namespace {

// For so long an id that was reported is known again.
constexpr Seconds kRemembered{30 * 86400};

struct Counts {
  int64_t accepted = 0;
  int64_t duplicates = 0;
};

// One record on its way into the log. Who acted is taken from the ledger where the token is one of ours; what
// the reporter says differently stands beside it as a claim.
class Reported {
 public:
  Reported(const Call& call, const Client& reporter, const EvidenceRecord& said)
      : call_(call), reporter_(reporter), said_(said) {}

  AuditRecord record(store::ReadTransaction& transaction) {
    out_.event = said_.event;
    out_.outcome = said_.allowed ? AuditOutcome::kAllowed : AuditOutcome::kDenied;
    out_.reason = said_.reason;
    out_.request_id = call_.audit.request_id;
    out_.trace = said_.trace;
    out_.peer = call_.audit.peer;
    out_.resource = reporter_.resource.text();
    const auto node = is_ordered_id(said_.token_id) ? transaction.find_node(NodeId(said_.token_id)) : nullptr;
    if (node != nullptr && node->kind == NodeKind::kAccessToken)
      compare(*node);
    else
      take_claims(transaction);
    describe();
    return std::move(out_);
  }

 private:
  // The token's own facts. A reporter need not have seen all of them; but what it says must be so.
  void compare(const Node& node) {
    is_verified_ = true;
    if (node.subject.kind == SubjectKind::kUser) out_.user = node.subject.id;
    out_.client = node.client.text();
    if (const Actor* actor = node.chain.outermost())
      out_.agent = actor->id;
    else if (node.subject.kind == SubjectKind::kAgent)
      out_.agent = node.subject.id;
    out_.chain = node.chain;
    out_.grant = node.grant.text();
    out_.lineage = node.root.text();
    out_.node = node.id.text();
    dispute_unless(said_.person.empty() || is_called(node.subject.id, said_.person), "person", said_.person);
    dispute_unless(said_.client.empty() || said_.client == node.client.text(), "client", said_.client);
    dispute_unless(said_.grant.empty() || said_.grant == node.grant.text(), "grant", said_.grant);
    dispute_unless(node.resource == reporter_.resource, "resource", reporter_.resource.text());
    if (!is_chain_of(node)) {
      json::Value::Array claimed;
      for (const std::string& hop : said_.chain) claimed.emplace_back(hop);
      dispute_unless(false, "chain", std::move(claimed));
    }
    // An API that verifies offline may have let it through a moment too late: how late is worth knowing.
    if (said_.allowed && node.ended_at && said_.time > *node.ended_at)
      out_.details.set("after_end_ms", said_.time.milliseconds - node.ended_at->milliseconds);
  }

  // The chain, or only who acts now, which is all that some resources are shown.
  bool is_chain_of(const Node& node) const {
    const auto& actors = node.chain.actors;
    if (said_.chain.size() > 1 && said_.chain.size() != actors.size()) return false;
    return said_.chain.size() <= actors.size() &&
           std::equal(said_.chain.begin(), said_.chain.end(), actors.begin(),
                      [](const std::string& said, const Actor& actor) { return said == actor.id; });
  }

  // No token of ours that is still remembered: all of it is the reporter's word. A grant is never forgotten,
  // so a grant that is not there, or another person's, or not for what is said, is no grant of this record's.
  void take_claims(store::ReadTransaction& transaction) {
    out_.user = said_.person;
    out_.client = said_.client;
    out_.node = said_.token_id;
    for (const std::string& hop : said_.chain) out_.chain.actors.push_back({ActorKind::kAgent, hop});
    if (!said_.chain.empty()) out_.agent = said_.chain.front();
    if (said_.grant.empty()) return;
    const auto grant = is_ordered_id(said_.grant) ? transaction.find_grant(GrantId(said_.grant)) : nullptr;
    const bool is_theirs =
        grant != nullptr && (said_.person.empty() || is_called(grant->user.text(), said_.person));
    const bool is_for_this = is_theirs && covers(*grant);
    dispute_unless(is_for_this, "grant", said_.grant);
    if (!is_for_this) return;
    out_.grant = said_.grant;
    out_.user = grant->user.text();
  }

  // What is one hop from the consent is as the consent says. Of what is further only the agent that began it
  // must be its own: an exchange may be by another client, for another resource.
  bool covers(const Grant& grant) const {
    if (!said_.chain.empty() && said_.chain.back() != grant.agent.text()) return false;
    if (said_.chain.size() > 1) return true;
    if (!said_.client.empty() && said_.client != grant.client.text()) return false;
    return std::find(grant.resources.begin(), grant.resources.end(), reporter_.resource) !=
           grant.resources.end();
  }

  // A resource that knows people by names of its own reports them by those.
  bool is_called(const std::string& id, const std::string& said) const {
    return said == id || said == call_.services.keys.pairwise_subject(reporter_.resource.text(), id);
  }

  void dispute_unless(bool agrees, std::string_view member, json::Value claimed) {
    if (!agrees) claimed_.set(member, std::move(claimed));
  }

  void describe() {
    json::Value& details = out_.details;
    details.set("record_id", said_.id);
    details.set("reporter", reporter_.id.text());
    details.set("time", said_.time.milliseconds);
    if (!said_.action.is_null()) details.set("action", said_.action);
    const std::pair<std::string_view, const std::string&> texts[] = {{"rule", said_.rule},
                                                                     {"policy_version", said_.policy_version},
                                                                     {"detail", said_.detail},
                                                                     {"peer", said_.peer}};
    for (const auto& [name, text] : texts) {
      if (!text.empty()) details.set(name, text);
    }
    if (said_.status != 0) details.set("status", said_.status);
    if (said_.shadow) details.set("shadow", true);
    details.set("verified", is_verified_ && claimed_.is_null());
    if (!claimed_.is_null()) {
      details.set("disputed", true);
      details.set("claimed", std::move(claimed_));
    }
  }

  const Call& call_;
  const Client& reporter_;
  const EvidenceRecord& said_;
  AuditRecord out_;
  bool is_verified_ = false;
  json::Value claimed_;
};

OAuthError fault_of(const EvidenceFault& fault) {
  if (fault.is_whole) return {ErrorCode::kInvalidRequest, fault.text, "evidence_malformed", {}, {}};
  const std::string index = std::to_string(fault.record);
  return {ErrorCode::kInvalidRequest,
          "record " + index + ": " + fault.text,
          "evidence_malformed",
          ",\"record\":" + index,
          {}};
}

Answer<std::vector<EvidenceRecord>> read_records(const http::Request& request) {
  const json::Value body = TRY(read_json(request));
  auto records = parse_evidence(body);
  if (!records) return Refused{fault_of(records.reason())};
  return std::move(records).value();
}

// A reporter speaks about the resource that it is registered as, under any of its names.
std::optional<OAuthError> find_stranger(store::ReadTransaction& transaction, const Client& reporter,
                                        const std::vector<EvidenceRecord>& records) {
  for (size_t i = 0; i < records.size(); ++i) {
    const auto resource = transaction.find_resource(ResourceId(records[i].resource));
    if (resource != nullptr && !reporter.resource.empty() && resource->id == reporter.resource) continue;
    const std::string index = std::to_string(i);
    return OAuthError{ErrorCode::kAccessDenied,
                      "record " + index + " is about a resource that its reporter is not",
                      "evidence_of_other_resource",
                      ",\"record\":" + index,
                      {}};
  }
  return std::nullopt;
}

http::Response forbidden(const OAuthError& error) {
  http::Response response = error_response(error);
  response.status = 403;
  return response;
}

Task<http::Response> attempt(Call& call) {
  auto bearer = read_bearer(call);
  if (!bearer) co_return co_await refuse_bearer(call, bearer.reason(), kEvidenceScope);
  auto records = read_records(call.request);
  std::optional<OAuthError> not_this_caller;
  std::optional<OAuthError> refusal;
  Counts counts;
  auto pending = call.commit([&](store::Transaction& transaction) {
    counts = {};
    not_this_caller.reset();
    refusal.reset();
    auto caller = confirm_bearer(call, *bearer, kEvidenceScope, transaction);
    if (!caller) {
      not_this_caller = caller.reason();
      return;
    }
    const Client& reporter = *caller->client;
    if (!records)
      refusal = records.reason();
    else
      refusal = find_stranger(transaction, reporter, *records);
    if (refusal) return call.deny(*refusal);
    // A space stands in no registry id: nobody's assertions have such an issuer.
    const std::string issuer = "evidence " + reporter.id.text();
    for (const EvidenceRecord& said : *records) {
      if (!transaction.remember_jti(issuer, said.id, call.now + kRemembered)) {
        ++counts.duplicates;
        continue;
      }
      transaction.append_audit(Reported(call, reporter, said).record(transaction), call.now);
      ++counts.accepted;
    }
    call.audit.resource = reporter.resource.text();
    call.audit.details.set("accepted", counts.accepted);
    call.audit.details.set("duplicates", counts.duplicates);
    call.allow();
  });
  co_await pending.durable();
  if (not_this_caller) co_return bearer_response(call, *not_this_caller, kEvidenceScope);
  if (refusal)
    co_return refusal->code == ErrorCode::kAccessDenied ? forbidden(*refusal) : error_response(*refusal);
  std::string body;
  json::ObjectWriter writer(body);
  writer.add("accepted", counts.accepted).add("duplicates", counts.duplicates).end();
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

}  // namespace

Task<http::Response> evidence_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "evidence.append", attempt);
}

}  // namespace behalf::oauth
