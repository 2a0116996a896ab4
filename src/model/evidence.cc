#include "model/evidence.h"

#include <algorithm>

#include "base/bytes.h"
#include "model/ids.h"

namespace behalf {
namespace {

constexpr size_t kMaxText = 1000;
constexpr size_t kMaxChain = 32;
constexpr size_t kMaxCalls = 100;
constexpr std::string_view kCut = "\xE2\x80\xA6";  // an ellipsis where the rest was

// At most kMaxText bytes, cut between characters.
std::string shortened(const std::string& text) {
  if (text.size() <= kMaxText) return text;
  size_t end = kMaxText - kCut.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;
  return text.substr(0, end) + std::string(kCut);
}

bool is_trace_id(std::string_view text) {
  return text.size() == 32 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// Reads the members of one record; keeps the first complaint.
class Reader {
 public:
  explicit Reader(const json::Value& value) : value_(value) {
    if (value.object() == nullptr) complain("must be an object");
  }

  std::string text(std::string_view name) {
    const json::Value* value = value_.find(name);
    if (value == nullptr || value->is_null()) return {};
    if (value->string() == nullptr) {
      complain(std::string(name) + " must be a string");
      return {};
    }
    return shortened(*value->string());
  }
  std::string required_text(std::string_view name) {
    std::string found = text(name);
    if (found.empty()) complain(std::string(name) + " is required");
    return found;
  }
  // The same thing under two names: ours, and the word of the token itself.
  std::string text(std::string_view name, std::string_view other) {
    std::string found = text(name);
    return found.empty() ? text(other) : found;
  }
  std::string id(std::string_view name) {
    const std::string* found = value_.find_string(name);
    if (found == nullptr || !is_registry_id(*found)) {
      complain(std::string(name) + " must be 1-255 printable ASCII characters without space");
      return {};
    }
    return *found;
  }
  UnixTime time(std::string_view name) {
    const auto milliseconds = value_.find_integer(name);
    if (!milliseconds || *milliseconds < 0 || *milliseconds > kLatest)
      complain(std::string(name) + " must be milliseconds since 1970");
    return {milliseconds.value_or(0)};
  }
  bool flag(std::string_view name) {
    const json::Value* value = value_.find(name);
    if (value == nullptr || value->is_null()) return false;
    if (value->boolean() == nullptr) complain(std::string(name) + " must be true or false");
    return value->boolean() != nullptr && *value->boolean();
  }
  std::string event() {
    std::string name = text("event");
    if (name.empty()) return "resource.access";
    if (name != "resource.access" && name != "resource.cut")
      complain("event must be \"resource.access\" or \"resource.cut\"");
    return name;
  }
  bool verdict() {
    const std::string word = text("verdict");
    const bool yes = word == "allowed" || word == "allow";
    if (!yes && word != "denied" && word != "deny") complain("verdict must be \"allowed\" or \"denied\"");
    return yes;
  }
  int64_t status() {
    const json::Value* value = value_.find("status");
    if (value == nullptr || value->is_null()) return 0;
    const int64_t status = value->integer() == nullptr ? -1 : *value->integer();
    if (status < 100 || status > 599) complain("status must be that of an HTTP answer");
    return status;
  }
  std::vector<std::string> texts(std::string_view name, size_t most) {
    const json::Value* value = value_.find(name);
    std::vector<std::string> list;
    if (value == nullptr || value->is_null()) return list;
    const bool fits =
        value->array() != nullptr && value->array()->size() <= most &&
        std::all_of(value->array()->begin(), value->array()->end(), [](const json::Value& item) {
          return item.string() != nullptr && !item.string()->empty();
        });
    if (!fits) {
      complain(std::string(name) + " must be a list of at most " + std::to_string(most) + " strings");
      return list;
    }
    for (const json::Value& item : *value->array()) list.push_back(shortened(*item.string()));
    return list;
  }
  json::Value action() {
    json::Value out;
    const json::Value* value = value_.find("action");
    if (value == nullptr || value->is_null()) return out;
    Reader inner(*value);
    for (const std::string_view member : {"method", "path", "rpc_method", "tool"}) {
      std::string found = inner.text(member);
      if (!found.empty()) out.set(member, std::move(found));
    }
    json::Value::Array calls;
    for (std::string& call : inner.texts("calls", kMaxCalls)) calls.emplace_back(std::move(call));
    if (!calls.empty()) out.set("calls", std::move(calls));
    if (!inner.complaint_.empty()) complain("action: " + inner.complaint_);
    return out;
  }
  void complain(std::string what) {
    if (complaint_.empty()) complaint_ = std::move(what);
  }
  const std::string& complaint() const { return complaint_; }

 private:
  static constexpr int64_t kLatest = 253'402'300'799'999;  // the year 9999, where RFC 3339 ends
  const json::Value& value_;
  std::string complaint_;
};

Result<EvidenceRecord, std::string> parse_record(const json::Value& value) {
  Reader reader(value);
  EvidenceRecord record;
  record.id = reader.id("id");
  record.time = reader.time("time");
  record.event = reader.event();
  record.allowed = reader.verdict();
  record.shadow = reader.flag("shadow");
  record.person = reader.text("person");
  record.client = reader.text("client");
  record.chain = reader.texts("chain", kMaxChain);
  record.grant = reader.text("grant");
  record.token_id = reader.text("token_id", "jti");
  record.action = reader.action();
  record.resource = reader.required_text("resource");
  record.rule = reader.text("rule");
  record.policy_version = reader.text("policy_version", "policy");
  record.reason = reader.text("reason");
  record.detail = reader.text("detail");
  record.status = reader.status();
  record.peer = reader.text("peer");
  record.trace = reader.text("trace");
  if (!record.trace.empty() && !is_trace_id(record.trace))
    reader.complain("trace must be 32 lower-case hexadecimal digits");
  if (!reader.complaint().empty()) return Refused{reader.complaint()};
  return record;
}

Refused<EvidenceFault> bad_whole(std::string text) {
  return Refused{EvidenceFault{.record = 0, .is_whole = true, .text = std::move(text)}};
}

}  // namespace

Result<std::vector<EvidenceRecord>, EvidenceFault> parse_evidence(const json::Value& body) {
  const json::Value* list = body.find("records");
  if (list == nullptr || list->array() == nullptr) return bad_whole("records must be a list");
  if (list->array()->size() > kMaxEvidenceRecords)
    return bad_whole("at most " + std::to_string(kMaxEvidenceRecords) + " records a call");
  std::vector<EvidenceRecord> records;
  records.reserve(list->array()->size());
  for (const json::Value& item : *list->array()) {
    auto record = parse_record(item);
    if (!record) {
      return Refused{EvidenceFault{.record = records.size(), .is_whole = false, .text = record.reason()}};
    }
    records.push_back(std::move(record).value());
  }
  return records;
}

}  // namespace behalf
