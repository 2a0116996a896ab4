#include "oauth/authzen.h"

#include <algorithm>
#include <optional>

#include "oauth/access_decision.h"
#include "oauth/bearer.h"
#include "oauth/json_body.h"

namespace behalf::oauth {
namespace {

constexpr size_t kMostEvaluations = 100;
constexpr size_t kMostHops = 32;
constexpr size_t kMostScopes = 256;
constexpr std::string_view kRequestId = "X-Request-ID";

// The members of one question; where an evaluation of a batch has none of its own, those of the whole count.
class Members {
 public:
  Members(const json::Value& own, const json::Value* whole) : own_(own), whole_(whole) {}
  const json::Value* find(std::string_view name) const {
    const json::Value* member = own_.find(name);
    return member != nullptr || whole_ == nullptr ? member : whole_->find(name);
  }

 private:
  const json::Value& own_;
  const json::Value* whole_;
};

using Read = Result<AccessQuestion, std::string>;

std::string text_of(const json::Value* value, std::string_view name) {
  return value == nullptr ? std::string() : text_of(*value, name);
}

// What narrows the question must be understood or refused: left out, it would let more through.

// A text that may be left out, and is not empty.
Result<std::string, std::string> optional_text(const json::Value* from, std::string_view name) {
  const json::Value* member = from == nullptr ? nullptr : from->find(name);
  if (member == nullptr) return std::string();
  if (member->string() == nullptr || member->string()->empty())
    return Refused{"context." + std::string(name) + " must be a string that is not empty"};
  return *member->string();
}

// A list of texts that may be left out; nothing then.
Result<std::optional<std::vector<std::string>>, std::string> optional_texts(const json::Value* from,
                                                                            std::string_view name) {
  const json::Value* member = from == nullptr ? nullptr : from->find(name);
  if (member == nullptr) return std::optional<std::vector<std::string>>();
  const auto malformed = [&] {
    return Refused{"context." + std::string(name) + " must be a list of at most " +
                   std::to_string(kMostScopes) + " strings that are not empty"};
  };
  if (member->array() == nullptr || member->array()->size() > kMostScopes) return malformed();
  std::vector<std::string> texts;
  for (const json::Value& item : *member->array()) {
    if (item.string() == nullptr || item.string()->empty()) return malformed();
    texts.push_back(*item.string());
  }
  return std::optional(std::move(texts));
}

struct Chain {
  std::vector<std::string> names;  // newest first
  bool is_foreign = false;         // somebody in it is another issuer's
};

// Names, or objects with `sub` and perhaps `iss`; nothing where there is no chain.
Result<std::optional<Chain>, std::string> read_chain(const json::Value* context, std::string_view issuer) {
  const json::Value* list = context == nullptr ? nullptr : context->find("chain");
  if (list == nullptr) return std::optional<Chain>();
  const auto malformed = [&] {
    return Refused{"context.chain must be a list of at most " + std::to_string(kMostHops) +
                   " names, or objects with sub"};
  };
  if (list->array() == nullptr || list->array()->size() > kMostHops) return malformed();
  Chain chain;
  for (const json::Value& item : *list->array()) {
    const std::string* name = item.string() != nullptr ? item.string() : item.find_string("sub");
    if (name == nullptr || name->empty()) return malformed();
    if (const json::Value* of = item.object() == nullptr ? nullptr : item.find("iss")) {
      if (of->string() == nullptr) return malformed();
      chain.is_foreign = chain.is_foreign || *of->string() != issuer;
    }
    chain.names.push_back(*name);
  }
  return std::optional(std::move(chain));
}

// Who acts is said in up to three places, and must be the same in all of them.
Result<Fine, std::string> read_actors(const json::Value& subject, const json::Value* context,
                                      std::string_view issuer, AccessQuestion& question) {
  const std::string type = text_of(subject, "type");
  const std::string id = text_of(subject, "id");
  const std::string user = TRY(optional_text(context, "user"));
  const std::string agent = TRY(optional_text(context, "agent"));
  std::optional<Chain> chain = TRY(read_chain(context, issuer));
  std::string actor = agent;
  if (type == "agent" || type == "ai_agent") {
    if (user.empty()) {  // software that acts for itself: nobody consented, whoever else is named
      question.chain = {id};
      return Fine{};
    }
    if (!agent.empty() && agent != id) return Refused<std::string>{"context.agent is not the subject"};
    question.person = user;
    actor = id;
  } else if (type == "user") {
    if (!user.empty() && user != id) return Refused<std::string>{"context.user is not the subject"};
    question.person = id;
  } else {
    return Fine{};  // nothing is known of it
  }
  if (chain) {
    question.is_foreign = chain->is_foreign;
    const std::string first = chain->names.empty() ? std::string() : chain->names.front();
    if (!question.is_foreign && !actor.empty() && actor != first)
      return Refused<std::string>{"context.chain does not begin with who acts"};
    question.chain = std::move(chain->names);
  } else if (!actor.empty()) {
    question.chain.push_back(std::move(actor));
  }
  return Fine{};
}

// AuthZEN §6: subject {type, id}, action {name}, resource {type, id}; all but these is optional.
Read read_question(const Members& members, std::string_view issuer) {
  const json::Value* subject = members.find("subject");
  const json::Value* action = members.find("action");
  const json::Value* resource = members.find("resource");
  const json::Value* context = members.find("context");
  for (const auto& [name, value] :
       {std::pair{"subject", subject}, {"action", action}, {"resource", resource}}) {
    if (value == nullptr || value->object() == nullptr)
      return Refused{std::string(name) + " must be an object"};
  }
  if (context != nullptr && context->object() == nullptr)
    return Refused<std::string>{"context must be an object"};
  const std::pair<const char*, std::string> kNeeded[] = {{"subject.type", text_of(subject, "type")},
                                                         {"subject.id", text_of(subject, "id")},
                                                         {"action.name", text_of(action, "name")},
                                                         {"resource.type", text_of(resource, "type")},
                                                         {"resource.id", text_of(resource, "id")}};
  for (const auto& [name, text] : kNeeded) {
    if (text.empty()) return Refused{std::string(name) + " must be a string that is not empty"};
  }
  AccessQuestion question;
  TRY(read_actors(*subject, context, issuer, question));
  question.client = TRY(optional_text(context, "client"));
  question.grant = TRY(optional_text(context, "grant_id"));
  auto scopes = TRY(optional_texts(context, "scopes"));
  question.resource = text_of(resource, "id");
  question.scopes = {text_of(action, "name")};
  // What a gateway asks that knows paths and tools: then the token's own audience and scopes are what is
  // consented to.
  const std::string kind = text_of(resource, "type");
  if (kind == "path" || kind == "tool") {
    const json::Value* properties = resource->find("properties");
    question.resource = text_of(properties, "resource");
    question.scopes = std::move(scopes).value_or(std::vector<std::string>());
  }
  return question;
}

struct Decided {
  AccessAnswer answer;
  std::string fault;  // of the question itself; empty: none
};

std::string write_decision(const Decided& decided) {
  std::string context;
  json::ObjectWriter inner(context);
  if (!decided.fault.empty()) {
    std::string error;
    json::ObjectWriter(error).add("status", int64_t{400}).add("message", decided.fault).end();
    inner.add_raw("error", error);
  } else {
    inner.add("reason", decided.answer.reason);
    if (decided.answer.grant) {
      const Grant& grant = *decided.answer.grant;
      inner.add("grant_id", grant.id.text())
          .add("client", grant.client.text())
          .add("expires_at", rfc3339(grant.expires_at));
    }
  }
  inner.end();
  std::string text;
  json::ObjectWriter writer(text);
  writer.add_bool("decision", decided.answer.allowed).add_raw("context", context).end();
  return text;
}

// Who asked stands in `client`; what was asked about in the rest.
void note(AuditRecord& record, const Decided& decided, const AccessQuestion* question) {
  record.outcome = decided.answer.allowed ? AuditOutcome::kAllowed : AuditOutcome::kDenied;
  record.error.clear();
  record.reason = decided.fault.empty() ? std::string(decided.answer.reason) : "question_malformed";
  if (question == nullptr) return;
  const auto bounded = [](const std::string& text) { return is_registry_id(text) ? text : std::string{}; };
  record.user = bounded(question->person);
  record.resource = bounded(question->resource);
  if (!question->chain.empty()) record.agent = bounded(question->chain.front());
  ScopeSet scopes;
  for (const std::string& scope : question->scopes) {
    if (ScopeSet::is_token(scope)) scopes.add(scope);
  }
  record.scope = scopes.text();
  if (!bounded(question->client).empty()) record.details.set("through", question->client);
  if (!decided.answer.grant) return;
  record.grant = decided.answer.grant->id.text();
  record.user = decided.answer.grant->user.text();
}

Decided decide(AccessDecider& decider, const Read& question) {
  if (!question)
    return {.answer = {.allowed = false, .reason = "question_malformed", .grant = {}},
            .fault = question.reason()};
  // An agent of another issuer is nobody here, whatever it is called.
  if (question->is_foreign)
    return {.answer = {.allowed = false, .reason = "agent_unknown", .grant = {}}, .fault = {}};
  return {.answer = decider.decide(*question), .fault = {}};
}

enum class Semantic { kAll, kUntilDeny, kUntilPermit };

struct Batch {
  Semantic semantic = Semantic::kAll;
  std::vector<Read> questions;
};

Answer<Batch> read_batch(const json::Value& body, std::string_view issuer) {
  Batch batch;
  if (const json::Value* options = body.find("options")) {
    const std::string word = text_of(options, "evaluations_semantic");
    if (options->object() == nullptr ||
        (options->find("evaluations_semantic") != nullptr && word != "execute_all" &&
         word != "deny_on_first_deny" && word != "permit_on_first_permit")) {
      return refuse(
          ErrorCode::kInvalidRequest,
          "options.evaluations_semantic is execute_all, deny_on_first_deny or permit_on_first_permit",
          "question_malformed");
    }
    if (word == "deny_on_first_deny") batch.semantic = Semantic::kUntilDeny;
    if (word == "permit_on_first_permit") batch.semantic = Semantic::kUntilPermit;
  }
  const json::Value* list = body.find("evaluations");
  if (list == nullptr) return batch;
  if (list->array() == nullptr || list->array()->size() > kMostEvaluations) {
    return refuse(ErrorCode::kInvalidRequest,
                  "evaluations must be a list of at most " + std::to_string(kMostEvaluations),
                  "question_malformed");
  }
  for (const json::Value& item : *list->array()) {
    if (item.object() == nullptr)
      batch.questions.push_back(Refused<std::string>{"an evaluation must be an object"});
    else
      batch.questions.push_back(read_question(Members(item, &body), issuer));
  }
  return batch;
}

// AuthZEN §10.1.2: the caller's own number for the request comes back.
void echo_request_id(const Call& call, http::Response& response) {
  const std::string* id = call.request.headers.find(kRequestId);
  const bool fits = id != nullptr && id->size() <= 200 && call.request.headers.count(kRequestId) == 1 &&
                    std::all_of(id->begin(), id->end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  if (fits) response.headers.set(kRequestId, *id);
}

http::Response decision_answer(std::string body) {
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

OAuthError malformed(const std::string& fault) {
  return {ErrorCode::kInvalidRequest, fault, "question_malformed", {}, {}};
}

// One question, alone in its call.
Task<http::Response> evaluate(Call& call) {
  auto bearer = read_bearer(call);
  if (!bearer) co_return co_await refuse_bearer(call, bearer.reason(), kDecisionsScope);
  const auto body = read_json(call.request);
  const Read question = body ? read_question(Members(*body, nullptr), call.services.settings.issuer)
                             : Read(Refused<std::string>{""});
  std::optional<OAuthError> not_this_caller;
  std::optional<OAuthError> refusal;
  if (!body)
    refusal = body.reason();
  else if (!question)
    refusal = malformed(question.reason());
  Decided decided;
  auto pending = call.commit([&](store::Transaction& transaction) {
    not_this_caller.reset();
    auto caller = confirm_bearer(call, *bearer, kDecisionsScope, transaction);
    if (!caller) {
      not_this_caller = caller.reason();
      return;
    }
    if (refusal) return call.deny(*refusal);
    AccessDecider decider(transaction, call.services, call.now);
    decided = decide(decider, question);
    note(call.audit, decided, &*question);
  });
  co_await pending.durable();
  if (not_this_caller) co_return bearer_response(call, *not_this_caller, kDecisionsScope);
  if (refusal) co_return error_response(*refusal);
  co_return decision_answer(write_decision(decided));
}

// Several, decided in one transaction: one record each, and one for the call.
Task<http::Response> evaluate_all(Call& call) {
  auto bearer = read_bearer(call);
  if (!bearer) co_return co_await refuse_bearer(call, bearer.reason(), kDecisionsScope);
  const auto body = read_json(call.request);
  Answer<Batch> batch =
      body ? read_batch(*body, call.services.settings.issuer) : Answer<Batch>(Refused{body.reason()});
  // §7.1: without a list it is one question, and answered like one.
  const bool is_one = batch && batch->questions.empty();
  if (is_one) co_return co_await evaluate(call);
  std::optional<OAuthError> not_this_caller;
  std::vector<Decided> decided;
  auto pending = call.commit([&](store::Transaction& transaction) {
    decided.clear();
    not_this_caller.reset();
    auto caller = confirm_bearer(call, *bearer, kDecisionsScope, transaction);
    if (!caller) {
      not_this_caller = caller.reason();
      return;
    }
    if (!batch) return call.deny(batch.reason());
    AccessDecider decider(transaction, call.services, call.now);
    for (const Read& question : batch->questions) {
      decided.push_back(decide(decider, question));
      AuditRecord record = call.audit;
      record.event = "access.evaluation";
      note(record, decided.back(), question ? &*question : nullptr);
      transaction.append_audit(record, call.now);
      const bool allowed = decided.back().answer.allowed;
      if (batch->semantic == Semantic::kUntilDeny && !allowed) break;
      if (batch->semantic == Semantic::kUntilPermit && allowed) break;
    }
    call.audit.details.set("evaluations", static_cast<int64_t>(decided.size()));
    call.allow();
  });
  co_await pending.durable();
  if (not_this_caller) co_return bearer_response(call, *not_this_caller, kDecisionsScope);
  if (!batch) co_return error_response(batch.reason());
  std::string text = "{\"evaluations\":[";
  for (const Decided& one : decided) {
    if (text.back() != '[') text.push_back(',');
    text += write_decision(one);
  }
  co_return decision_answer(text + "]}");
}

}  // namespace

Task<http::Response> evaluation_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "access.evaluation", [](Call& call) -> Task<http::Response> {
    http::Response response = co_await evaluate(call);
    echo_request_id(call, response);
    co_return response;
  });
}

Task<http::Response> evaluations_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "access.evaluations", [](Call& call) -> Task<http::Response> {
    http::Response response = co_await evaluate_all(call);
    echo_request_id(call, response);
    co_return response;
  });
}

http::Response authzen_metadata(const Services& services) {
  const std::string& issuer = services.settings.issuer;
  std::string body;
  json::ObjectWriter writer(body);
  writer.add("policy_decision_point", issuer)
      .add("access_evaluation_endpoint", issuer + "/access/v1/evaluation")
      .add("access_evaluations_endpoint", issuer + "/access/v1/evaluations")
      .end();
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "public, max-age=300");
  response.headers.set("Access-Control-Allow-Origin", "*");
  return response;
}

}  // namespace behalf::oauth
