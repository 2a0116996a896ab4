#include "app/commands.h"

#include <chrono>
#include <cstdio>
#include <thread>

#include "app/admin_client.h"
#include "app/terminal.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/time.h"
#include "http/message.h"

namespace behalf::app {
namespace {

std::string id_body(const std::string& id) {
  std::string body;
  json::ObjectWriter writer(body);
  writer.add("id", id).end();
  return body;
}

}  // namespace

int list_grants(const GrantQuery& query) {
  const std::string path = "/grants?" + http::write_form({{"user", query.user},
                                                          {"client", query.client},
                                                          {"agent", query.agent},
                                                          {"live", query.live_only ? "1" : ""},
                                                          {"limit", "1000"}});
  const AdminAnswer answer = ask_server(query.config_path, "GET", path, {}, query.as_json);
  if (answer.exit_code != kOk) return answer.exit_code;
  if (query.as_json) {
    std::printf("%s\n", json::write_pretty(answer.value).c_str());
    return kOk;
  }
  const auto& grants = list_of(answer.value, "grants");
  if (grants.empty())
    std::printf("no grants\n");
  else
    std::printf("%-26s  %-7s  %-14s  %-16s  %-20s  %s\n", "GRANT", "STATUS", "PERSON", "CLIENT", "AGENT",
                "SCOPES");
  for (const json::Value& grant : grants) {
    std::printf("%-26s  %-7s  %-14s  %-16s  %-20s  %s%s\n", text_of(grant, "id").c_str(),
                text_of(grant, "status").c_str(), one_line(text_of(grant, "user")).c_str(),
                one_line(text_of(grant, "client")).c_str(), one_line(text_of(grant, "agent")).c_str(),
                one_line(text_of(grant, "scopes")).c_str(),
                grant.find("cause") == nullptr ? "" : ("  (" + text_of(grant, "cause") + ")").c_str());
  }
  return kOk;
}

int revoke_grant(const std::string& config_path, const std::string& id, bool as_json) {
  const AdminAnswer answer = ask_server(config_path, "POST", "/grants/revoke", id_body(id), as_json);
  if (answer.exit_code != kOk) return answer.exit_code;
  if (as_json)
    std::printf("%s\n", json::write_pretty(answer.value).c_str());
  else
    std::printf(
        "grant %s %s\n", id.c_str(),
        *answer.value.find("changed")->boolean() ? "ended, and everything below it" : "had ended before");
  return kOk;
}

int set_status(const std::string& config_path, const std::string& kind, const std::string& verb,
               const std::string& id, bool as_json) {
  const AdminAnswer answer = ask_server(config_path, "POST", "/" + kind + "s/" + verb, id_body(id), as_json);
  if (answer.exit_code != kOk) return answer.exit_code;
  if (as_json) {
    std::printf("%s\n", json::write_pretty(answer.value).c_str());
    return kOk;
  }
  const bool changed = *answer.value.find("changed")->boolean();
  std::printf("%s %s is %s%s\n", kind.c_str(), id.c_str(), text_of(answer.value, "status").c_str(),
              changed ? "" : ", as before");
  if (verb == "suspend" && changed)
    std::printf("%s ended; what has ended stays ended when it is resumed\n",
                counted(number_of(answer.value, "grants_ended"), "grant").c_str());
  return kOk;
}

int tail_audit(const AuditQuery& query) {
  const auto path_from = [&](int64_t from, bool newest, size_t limit) {
    return "/audit?" + http::write_form({{"grant", query.grant},
                                         {"user", query.user},
                                         {"agent", query.agent},
                                         {"client", query.client},
                                         {"event", query.event},
                                         {newest ? "before" : "after", std::to_string(from)},
                                         {"newest", newest ? "1" : ""},
                                         {"limit", std::to_string(limit)}});
  };
  const auto print = [&](const json::Value& entry) {
    const std::string record_text = text_of(entry, "record");
    if (query.as_json) {
      std::printf("{\"record\":%s,\"hash\":\"%s\"}\n", record_text.c_str(), text_of(entry, "hash").c_str());
      return;
    }
    const auto record = json::parse(record_text, {.bytes = 1024 * 1024, .depth = 32});
    if (!record) return;
    std::string chain;
    for (const json::Value& hop : list_of(*record, "chain"))
      chain += (chain.empty() ? "" : " < ") + *hop.string();
    if (chain.empty()) chain = text_of(*record, "agent");
    std::printf(
        "%6lld %s %-7s %-26s person=%s client=%s agent=%s%s%s\n",
        static_cast<long long>(record->find_integer("seq").value_or(0)),
        rfc3339({record->find_integer("time").value_or(0)}).c_str(), text_of(*record, "outcome").c_str(),
        text_of(*record, "event").c_str(), one_line(text_of(*record, "user")).c_str(),
        one_line(text_of(*record, "client")).c_str(), one_line(chain).c_str(),
        text_of(*record, "scope").empty() ? "" : (" scope=" + one_line(text_of(*record, "scope"))).c_str(),
        text_of(*record, "reason").empty() ? ""
                                           : (" reason=" + one_line(text_of(*record, "reason"))).c_str());
  };
  // One answer tells of a part of the log alone, and how far it has read.
  const auto is_end = [](const AdminAnswer& answer) {
    const json::Value* end = answer.value.find("is_end");
    return end != nullptr && end->boolean() != nullptr && *end->boolean();
  };
  const size_t wanted = query.lines > 0 ? static_cast<size_t>(query.lines) : 0;
  std::vector<json::Value> newest;
  std::optional<int64_t> last;
  int64_t before = INT64_MAX;
  for (bool is_over = false; !is_over;) {
    const AdminAnswer answer = ask_server(query.config_path, "GET",
                                          path_from(before, true, wanted - newest.size()), {}, query.as_json);
    if (answer.exit_code != kOk) return answer.exit_code;
    for (const json::Value& entry : list_of(answer.value, "records")) newest.push_back(entry);
    if (!last) last = answer.value.find_integer("newest").value_or(0);
    before = answer.value.find_integer("read_to").value_or(0);
    is_over = is_end(answer) || newest.size() >= wanted;
  }
  for (auto entry = newest.rbegin(); entry != newest.rend(); ++entry) print(*entry);
  for (bool is_over = true; query.follow;) {
    std::fflush(stdout);
    if (is_over) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const AdminAnswer answer =
        ask_server(query.config_path, "GET", path_from(*last, false, 1000), {}, query.as_json);
    if (answer.exit_code != kOk) return answer.exit_code;
    for (const json::Value& entry : list_of(answer.value, "records")) print(entry);
    last = answer.value.find_integer("read_to").value_or(*last);
    is_over = is_end(answer);
  }
  return kOk;
}

}  // namespace behalf::app
