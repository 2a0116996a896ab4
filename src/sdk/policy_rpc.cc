// JSON-RPC 2.0 as an MCP server reads it. Whatever a server could read in another way is not read at all: the
// caller then has no calls, and rules that name methods or tools deny (policy_match.cc).
#include <algorithm>
#include <initializer_list>
#include <string>

#include "base/bytes.h"
#include "base/json.h"
#include "behalf/policy.h"

namespace behalf::sdk {
namespace {

constexpr size_t kMaxBodyBytes = 1024 * 1024;
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxCalls = 100;
constexpr size_t kMaxNameBytes = 256;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equals_without_case(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() && std::equal(text.begin(), text.end(), lower_case.begin(),
                                                        [](char a, char b) { return lower(a) == b; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// STRICTER than RFC 9110 §8.3.1: `application/json` in small letters, and no parameter but `charset=utf-8`.
bool is_json(std::string_view content_type) {
  content_type = trimmed(content_type);
  const size_t semicolon = content_type.find(';');
  if (content_type.substr(0, semicolon) != "application/json") return false;
  if (semicolon == std::string_view::npos) return true;
  const std::string_view parameter = trimmed(content_type.substr(semicolon + 1));
  return equals_without_case(parameter, "charset=utf-8") ||
         equals_without_case(parameter, "charset=\"utf-8\"");
}

// What can be named in a policy, and looks the same to everyone.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes && std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7F && c != '<' && c != '>';
  });
}

bool is_tool_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

// True for a member that a reader might take for one of `ours`, and another not. Some readers take names in
// any case, and not only ASCII's (Go: U+017F for s, U+212A for k): what is not ASCII has no business there.
bool is_doubtful(std::string_view name, std::initializer_list<std::string_view> ours) {
  if (!is_printable_ascii(name)) return true;
  return std::any_of(ours.begin(), ours.end(),
                     [&](std::string_view one) { return name != one && equals_without_case(name, one); });
}

std::optional<RpcCall> read_call(const json::Value& value) {
  const std::string* version = value.find_string("jsonrpc");
  if (version == nullptr || *version != "2.0") return std::nullopt;
  if (const json::Value* id = value.find("id");
      id != nullptr && id->string() == nullptr && id->integer() == nullptr && !id->is_null())
    return std::nullopt;
  for (const json::Member& member : *value.object()) {
    if (is_doubtful(member.name, {"jsonrpc", "id", "method", "params", "result", "error"}))
      return std::nullopt;
  }
  const json::Value* method = value.find("method");
  const json::Value* params = value.find("params");
  const bool is_answer = value.find("result") != nullptr || value.find("error") != nullptr;
  if (method == nullptr) {
    if (!is_answer || params != nullptr || value.find("id") == nullptr) return std::nullopt;
    return RpcCall{"<response>", {}};
  }
  if (is_answer || method->string() == nullptr || !is_name(*method->string())) return std::nullopt;
  if (params != nullptr && params->object() == nullptr && params->array() == nullptr) return std::nullopt;
  RpcCall call{*method->string(), {}};
  if (call.method != "tools/call") return call;
  const std::string* tool = params == nullptr ? nullptr : params->find_string("name");
  if (tool == nullptr || !is_tool_name(*tool)) return std::nullopt;
  for (const json::Member& member : *params->object()) {
    if (is_doubtful(member.name, {"name", "arguments", "_meta"})) return std::nullopt;
  }
  call.tool = *tool;
  return call;
}

}  // namespace

std::optional<std::vector<RpcCall>> parse_rpc(std::string_view content_type,
                                              std::string_view content_encoding, std::string_view body) {
  if (!is_json(content_type)) return std::nullopt;
  if (!content_encoding.empty() && !equals_without_case(trimmed(content_encoding), "identity"))
    return std::nullopt;
  const auto document = json::parse(body, {.bytes = kMaxBodyBytes, .depth = kMaxDepth});
  if (!document) return std::nullopt;
  std::vector<RpcCall> calls;
  if (document->object() != nullptr) {
    auto call = read_call(*document);
    if (!call) return std::nullopt;
    calls.push_back(std::move(*call));
    return calls;
  }
  const json::Value::Array* batch = document->array();
  if (batch == nullptr || batch->empty() || batch->size() > kMaxCalls) return std::nullopt;
  for (const json::Value& item : *batch) {
    if (item.object() == nullptr) return std::nullopt;
    auto call = read_call(item);
    if (!call) return std::nullopt;
    calls.push_back(std::move(*call));
  }
  return calls;
}

}  // namespace behalf::sdk
