#include "app/commands.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "app/admin_client.h"
#include "app/config.h"
#include "app/runtime.h"
#include "app/state_file.h"
#include "base/file.h"
#include "console/state.h"
#include "crypto/hash.h"
#include "crypto/jwt.h"
#include "http/message.h"

namespace behalf::app {
namespace {

std::string id_body(const std::string& id) {
  std::string body;
  json::ObjectWriter writer(body);
  writer.add("id", id).end();
  return body;
}

// Never lets a stored text move the cursor.
std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text) result.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c);
  return result;
}

}  // namespace

int check(const std::string& config_path, const std::string& state_path, bool as_json) {
  std::vector<std::string> problems;
  const auto config = read_config(config_path);
  if (!config) problems.push_back(config.reason());
  if (config) {
    if (const std::string complaint = check_private(config->key_file); !complaint.empty())
      problems.push_back(complaint);
    try {
      if (const auto keys = read_file(config->key_file)) (void)oauth::Keys(Secret(*keys));
    } catch (const std::exception& fault) {
      problems.push_back(config->key_file + ": " + fault.what());
    }
    if (config->listen.tls) {
      for (const std::string& path : {config->listen.tls->certificate, config->listen.tls->private_key}) {
        if (::access(path.c_str(), R_OK) != 0) problems.push_back(path + " cannot be read");
      }
    }
  }
  if (!state_path.empty()) {
    const auto state = read_state_file(state_path);
    if (!state) {
      problems.push_back(state.reason());
    } else if (auto parsed = console::parse_state(state->state); !parsed) {
      problems.push_back(state_path + ": " + parsed.reason());
    }
  }
  if (as_json) {
    json::Value::Array list;
    for (const std::string& problem : problems) list.emplace_back(problem);
    json::Value out;
    out.set("ok", problems.empty());
    out.set("problems", std::move(list));
    std::printf("%s\n", json::write_pretty(out).c_str());
  } else {
    for (const std::string& problem : problems) std::fprintf(stderr, "%s\n", problem.c_str());
    if (problems.empty())
      std::printf("%s is fine%s\n", config_path.c_str(),
                  state_path.empty() ? "" : (", and so is " + state_path).c_str());
  }
  return problems.empty() ? kOk : kWrongUse;
}

int init(const InitOptions& options) {
  try {
    const std::filesystem::path folder(options.folder);
    std::filesystem::create_directories(folder);
    const std::string config = (folder / "behalf.toml").string();
    const std::string keys = (folder / "behalf.keys").string();
    for (const std::string& path : {config, keys}) {
      if (std::filesystem::exists(path)) {
        std::fprintf(stderr, "%s exists already; nothing was changed\n", path.c_str());
        return kRefused;
      }
    }
    const std::string issuer =
        options.issuer.empty() ? "http://127.0.0.1:" + std::to_string(options.port) : options.issuer;
    crypto::SystemRandom random;
    write_private_file(keys, oauth::Keys::generate(random).reveal());
    write_private_file(config, sample_config(issuer, static_cast<uint16_t>(options.port)));
    const auto read = read_config(config);
    if (!read) {
      std::filesystem::remove(config);
      std::filesystem::remove(keys);
      std::fprintf(stderr, "%s\n", read.reason().c_str());
      return kWrongUse;
    }
    std::printf(
        "made %s and %s (secret; keep it, and keep it apart from backups of the store)\n"
        "next: behalf serve --config %s\n"
        "then: behalf apply state.toml --config %s\n",
        config.c_str(), keys.c_str(), config.c_str(), config.c_str());
    return kOk;
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "cannot make the files: %s\n", fault.what());
    return kUnreachable;
  }
}

int apply(const ApplyOptions& options) {
  auto file = read_state_file(options.state_path);
  if (!file) {
    std::fprintf(stderr, "%s\n", file.reason().c_str());
    return kWrongUse;
  }
  file->state.set("dry_run", options.dry_run);
  file->state.set("prune", options.prune);
  const AdminAnswer answer = ask_server(options.config_path, "POST", "/apply", json::write(file->state));
  if (answer.exit_code != kOk) return answer.exit_code;
  json::Value shown = answer.value;
  const json::Value* secrets = answer.value.find("secrets");
  if (secrets != nullptr) {
    json::Value left = *secrets;
    for (const StateFile::SecretFile& target : file->secret_files) {
      const std::string* secret = secrets->find_string(target.client);
      if (secret == nullptr) continue;
      write_private_file(target.path, *secret + "\n");
      left.remove(target.client);
    }
    shown.set("secrets", std::move(left));
  }
  if (options.as_json) {
    std::printf("%s\n", json::write_pretty(shown).c_str());
    return kOk;
  }
  const auto& changes = list_of(shown, "changes");
  for (const json::Value& change : changes) {
    const std::string action = text_of(change, "action");
    std::string members;
    for (const json::Value& member : list_of(change, "members"))
      members += (members.empty() ? " (" : ", ") + *member.string();
    if (!members.empty()) members += ")";
    std::printf("%s %-8s %s%s\n",
                action == "create"   ? "+"
                : action == "delete" ? "-"
                                     : "~",
                text_of(change, "kind").c_str(), printable(text_of(change, "id")).c_str(), members.c_str());
  }
  if (const json::Value* made = shown.find("secrets"); made != nullptr && made->object() != nullptr) {
    for (const json::Member& secret : *made->object()) {
      std::printf("secret of client %s, shown this once: %s\n", secret.name.c_str(),
                  secret.value.string()->c_str());
    }
  }
  if (changes.empty())
    std::printf("nothing to change\n");
  else if (options.dry_run)
    std::printf("this was a dry run: nothing was changed\n");
  return kOk;
}

int inspect_token(const std::string& token, const std::string& config_path, bool as_json) {
  std::string text = token;
  if (text == "-" || text.empty()) {
    text.clear();
    char buffer[4096];
    for (ssize_t count;
         (count = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0 && text.size() < crypto::kMaxJwtBytes;) {
      text.append(buffer, static_cast<size_t>(count));
    }
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.pop_back();
  }
  const auto jwt = crypto::EncodedJwt::parse(text);
  if (!jwt) {
    std::fprintf(stderr, "this is no JWT: %s\n", std::string(describe(jwt.reason())).c_str());
    return kRefused;
  }
  json::Value out;
  out.set("header", jwt->header());
  out.set("claims", jwt->unproved_claims());
  if (!config_path.empty()) {
    const auto config = read_config(config_path);
    const auto keys = config ? read_file(config->key_file) : std::nullopt;
    if (!keys) {
      std::fprintf(stderr, "%s\n", config ? "the key file cannot be read" : config.reason().c_str());
      return kWrongUse;
    }
    constexpr std::string_view kTypes[] = {"at+jwt"};
    const oauth::Keys ours{Secret(*keys)};
    const auto verified = crypto::verify(*jwt,
                                         {.types = kTypes,
                                          .issuer = config->settings.issuer,
                                          .subject = {},
                                          .audiences = {},
                                          .audience_rule = crypto::AudienceRule::kIgnore,
                                          .leeway = Seconds{0},
                                          .longest_life = Seconds{0},
                                          .require_jti = true},
                                         ours.verifying_keys(), SystemClock().now());
    out.set("signature", verified ? "valid" : std::string(describe(verified.reason())));
    const std::string id = text_of(jwt->unproved_claims(), "jti");
    const AdminAnswer lineage = ask_server(config_path, "GET", "/lineage?node=" + http::percent_encode(id));
    for (const json::Value& node : list_of(lineage.value, "nodes")) {
      if (text_of(node, "id") != id) continue;
      out.set("status", text_of(node, "status"));
      if (node.find("cause") != nullptr) out.set("cause", text_of(node, "cause"));
    }
  }
  if (as_json) {
    std::printf("%s\n", json::write_pretty(out).c_str());
    return kOk;
  }
  const json::Value& claims = jwt->unproved_claims();
  std::printf("person or software  %s (%s)\n", printable(text_of(claims, "sub")).c_str(),
              printable(text_of(claims, "sub_profile")).c_str());
  std::printf("client              %s\n", printable(text_of(claims, "client_id")).c_str());
  std::string indent;
  for (const json::Value* act = claims.find("act"); act != nullptr; act = act->find("act")) {
    std::printf("%s%s (%s)\n", indent.empty() ? "acting              " : ("  via " + indent).c_str(),
                printable(text_of(*act, "sub")).c_str(), printable(text_of(*act, "sub_profile")).c_str());
    indent = "              ";
  }
  std::printf("audience            %s\nscope               %s\n", printable(text_of(claims, "aud")).c_str(),
              printable(text_of(claims, "scope")).c_str());
  if (const auto expires = claims.find_integer("exp"))
    std::printf("expires             %s\n", rfc3339(UnixTime::from_seconds(*expires)).c_str());
  if (out.find("signature") != nullptr)
    std::printf("signature           %s\n", text_of(out, "signature").c_str());
  else
    std::printf("signature           not checked (give --config)\n");
  if (out.find("status") != nullptr)
    std::printf("status              %s %s\n", text_of(out, "status").c_str(), text_of(out, "cause").c_str());
  return kOk;
}

int list_grants(const GrantQuery& query) {
  const std::string path = "/grants?" + http::write_form({{"user", query.user},
                                                          {"client", query.client},
                                                          {"agent", query.agent},
                                                          {"live", query.live_only ? "1" : ""},
                                                          {"limit", "1000"}});
  const AdminAnswer answer = ask_server(query.config_path, "GET", path);
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
                text_of(grant, "status").c_str(), printable(text_of(grant, "user")).c_str(),
                printable(text_of(grant, "client")).c_str(), printable(text_of(grant, "agent")).c_str(),
                printable(text_of(grant, "scopes")).c_str(),
                grant.find("cause") == nullptr ? "" : ("  (" + text_of(grant, "cause") + ")").c_str());
  }
  return kOk;
}

int revoke_grant(const std::string& config_path, const std::string& id, bool as_json) {
  const AdminAnswer answer = ask_server(config_path, "POST", "/grants/revoke", id_body(id));
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
  const AdminAnswer answer = ask_server(config_path, "POST", "/" + kind + "s/" + verb, id_body(id));
  if (answer.exit_code != kOk) return answer.exit_code;
  if (as_json) {
    std::printf("%s\n", json::write_pretty(answer.value).c_str());
    return kOk;
  }
  const bool changed = *answer.value.find("changed")->boolean();
  std::printf("%s %s is %s%s\n", kind.c_str(), id.c_str(), text_of(answer.value, "status").c_str(),
              changed ? "" : ", as before");
  if (verb == "suspend" && changed)
    std::printf("%lld grants ended; they stay ended when it is resumed\n",
                static_cast<long long>(answer.value.find_integer("grants_ended").value_or(0)));
  return kOk;
}

int tail_audit(const AuditQuery& query) {
  const auto path_after = [&](int64_t after, bool newest, int limit) {
    return "/audit?" + http::write_form({{"grant", query.grant},
                                         {"user", query.user},
                                         {"agent", query.agent},
                                         {"client", query.client},
                                         {"event", query.event},
                                         {"after", std::to_string(after)},
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
        text_of(*record, "event").c_str(), printable(text_of(*record, "user")).c_str(),
        printable(text_of(*record, "client")).c_str(), printable(chain).c_str(),
        text_of(*record, "scope").empty() ? "" : (" scope=" + printable(text_of(*record, "scope"))).c_str(),
        text_of(*record, "reason").empty() ? ""
                                           : (" reason=" + printable(text_of(*record, "reason"))).c_str());
  };
  AdminAnswer answer = ask_server(query.config_path, "GET", path_after(0, true, query.lines));
  if (answer.exit_code != kOk) return answer.exit_code;
  int64_t last = 0;
  const auto& newest = list_of(answer.value, "records");
  for (auto entry = newest.rbegin(); entry != newest.rend(); ++entry) {
    print(*entry);
    last = std::max(last, entry->find_integer("sequence").value_or(0));
  }
  while (query.follow) {
    std::fflush(stdout);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    answer = ask_server(query.config_path, "GET", path_after(last, false, 1000));
    if (answer.exit_code != kOk) return answer.exit_code;
    for (const json::Value& entry : list_of(answer.value, "records")) {
      print(entry);
      last = std::max(last, entry.find_integer("sequence").value_or(0));
    }
  }
  return kOk;
}

}  // namespace behalf::app
