#include "guard/record.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/json.h"
#include "base/time.h"

namespace behalf::guard {
namespace {

constexpr size_t kMaxText = 1000;  // docs/evidence.md

// What a caller wrote, fit for a log: bounded, UTF-8 or nothing, and a space for every control character.
std::string bounded(std::string_view text) {
  std::string cut(text.substr(0, kMaxText));
  while (!cut.empty() && !is_utf8(cut)) {
    if (cut.size() < kMaxText - 4) return "";  // not a letter that was cut in two
    cut.pop_back();
  }
  for (char& letter : cut) {
    if (static_cast<unsigned char>(letter) < ' ' || letter == '\x7F') letter = ' ';
  }
  return cut;
}

// True if `bounded` would leave it as it is: nearly always.
bool is_fit(std::string_view text) {
  const auto is_control = [](char letter) {
    return static_cast<unsigned char>(letter) < ' ' || letter == '\x7F';
  };
  return text.size() <= kMaxText &&
         (is_printable_ascii(text) || (std::none_of(text.begin(), text.end(), is_control) && is_utf8(text)));
}

void append_bounded(std::string& out, std::string_view text) {
  if (is_fit(text))
    json::append_string(out, text);
  else
    json::append_string(out, bounded(text));
}

void add_bounded(json::ObjectWriter& writer, json::MemberName name, std::string_view text) {
  append_bounded(writer.open(name), text);
}

// An empty text is left out, and so is one that is not UTF-8.
void add_bounded_unless_empty(json::ObjectWriter& writer, json::MemberName name, std::string_view text) {
  if (text.empty()) return;
  if (is_fit(text))
    writer.add(name, text);
  else
    writer.add_unless_empty(name, bounded(text));
}

void add_list(json::ObjectWriter& writer, json::MemberName name, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  json::ArrayWriter list(writer.open(name));
  for (const std::string& text : texts) append_bounded(list.next(), text);
  list.end();
}

}  // namespace

void describe(Record& record, const sdk::Delegation& delegation) {
  record.person = delegation.subject;
  record.client = delegation.client;
  record.grant = delegation.grant;
  record.jti = delegation.token_id;
  for (const sdk::Hop& hop : delegation.chain) record.chain.push_back(delegation.name_of(hop));
}

std::string json_line(const Record& record) {
  std::string line;
  line.reserve(1024);
  json::ObjectWriter writer(line);
  writer.add("id", record.id).add("time", record.time).add("event", record.event);
  add_bounded_unless_empty(writer, "person", record.person);
  add_bounded_unless_empty(writer, "client", record.client);
  add_list(writer, "chain", record.chain);
  json::ObjectWriter action(writer.open("action"));
  add_bounded(action, "method", record.method);
  add_bounded(action, "path", record.path);
  add_list(action, "calls", record.calls);
  action.end();
  writer.add("resource", record.resource)
      .add("verdict", record.allowed ? "allowed" : "denied")
      .add("reason", record.reason);
  add_bounded_unless_empty(writer, "detail", record.detail);
  writer.add_unless_empty("rule", record.rule).add_unless_empty("policy_version", record.policy);
  add_bounded_unless_empty(writer, "token_id", record.jti);
  add_bounded_unless_empty(writer, "grant", record.grant);
  writer.add_unless_empty("trace", record.trace).add_unless_empty("peer", record.peer);
  add_list(writer, "forbidden_members", record.forbidden_members);
  if (record.status != 0) writer.add("status", int64_t{record.status});
  if (record.shadow) writer.add_bool("shadow", true);
  writer.end();
  return line;
}

// API Activity [6003]: https://schema.ocsf.io/1.3.0/classes/api_activity. What it has no place for stands in
// `unmapped`.
std::string ocsf_line(const Record& record) {
  enum : int64_t {
    kCategory = 6,
    kClass = 6003,
    kCreate = 1,
    kRead = 2,
    kUpdate = 3,
    kDelete = 4,
    kOther = 99
  };
  int64_t activity = kOther;
  if (record.method == "GET" || record.method == "HEAD") activity = kRead;
  if (record.method == "POST") activity = kCreate;
  if (record.method == "PUT" || record.method == "PATCH") activity = kUpdate;
  if (record.method == "DELETE") activity = kDelete;
  json::Value event;
  event.set("category_uid", int64_t{kCategory});
  event.set("class_uid", int64_t{kClass});
  event.set("activity_id", activity);
  event.set("type_uid", kClass * 100 + activity);
  event.set("time", record.time);
  event.set("severity_id", record.allowed ? 1 : 2);
  event.set("status_id", record.allowed ? 1 : 2);
  if (!record.allowed) event.set("status_detail", record.reason);
  if (record.status != 0) event.set("status_code", std::to_string(record.status));
  json::Value product;
  product.set("name", "behalf guard");
  product.set("vendor_name", "behalf");
  json::Value metadata;
  metadata.set("version", "1.3.0");
  metadata.set("uid", record.id);
  metadata.set("product", std::move(product));
  if (!record.trace.empty()) metadata.set("correlation_uid", record.trace);
  event.set("metadata", std::move(metadata));
  json::Value user;
  user.set("uid", record.person.empty() ? std::string("unknown") : bounded(record.person));
  json::Value actor;
  actor.set("user", std::move(user));
  if (!record.client.empty()) actor.set("app_uid", bounded(record.client));
  event.set("actor", std::move(actor));
  json::Value api;
  api.set("operation", record.calls.empty() ? bounded(record.method) : bounded(record.calls.front()));
  event.set("api", std::move(api));
  json::Value url;
  url.set("path", bounded(record.path));
  json::Value http_request;
  http_request.set("http_method", bounded(record.method));
  http_request.set("url", std::move(url));
  event.set("http_request", std::move(http_request));
  json::Value source;
  source.set("ip", record.peer == "unix" || record.peer.empty() ? std::string("127.0.0.1") : record.peer);
  event.set("src_endpoint", std::move(source));
  json::Value resource;
  resource.set("uid", record.resource);
  event.set("resources", json::Value::Array{std::move(resource)});
  json::Value unmapped;
  json::Value::Array chain;
  for (const std::string& hop : record.chain) chain.emplace_back(bounded(hop));
  unmapped.set("delegation_chain", std::move(chain));
  unmapped.set("event", record.event);
  unmapped.set("grant", bounded(record.grant));
  unmapped.set("jti", bounded(record.jti));
  unmapped.set("rule", record.rule);
  unmapped.set("policy", record.policy);
  if (record.shadow) unmapped.set("shadow", true);
  event.set("unmapped", std::move(unmapped));
  return json::write(event);
}

std::string trace_of(std::string_view traceparent) {
  constexpr size_t kTrace = 32;
  const auto is_hex = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  };
  if (traceparent.size() != 55 || !traceparent.starts_with("00-") || traceparent[35] != '-' ||
      traceparent[52] != '-') {
    return {};
  }
  const std::string_view trace = traceparent.substr(3, kTrace);
  const bool zero = trace.find_first_not_of('0') == std::string_view::npos;
  if (zero || !is_hex(trace) || !is_hex(traceparent.substr(36, 16)) || !is_hex(traceparent.substr(53)))
    return {};
  return std::string(trace);
}

}  // namespace behalf::guard
