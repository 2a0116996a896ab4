#include "sdk/policy_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/time.h"
#include "base/uri.h"
#include "sdk/policy_toml.h"

namespace behalf::sdk::rules {
namespace {

Names sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

// RFC 6749 §3.3.
bool is_scope(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > 0x20 && c < 0x7F && c != '"' && c != '\\'; });
}

void read_methods(TomlTable& table, Rule& rule) {
  rule.methods = sorted(table.list("methods"));
  for (const std::string& method : rule.methods) {
    if (method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != std::string::npos)
      table.complain("methods",
                     "\"" + method + "\" is no HTTP method: they are case-sensitive, such as \"GET\"");
  }
  if (rule.is_allow && !table.has("methods"))
    table.complain(nullptr, "an allow rule must say its methods, such as methods = [\"GET\"]");
}

void read_paths(TomlTable& table, Rule& rule) {
  for (const std::string& text : table.list("paths")) {
    PathTemplate path;
    if (const std::string complaint = PathTemplate::parse(text, path); !complaint.empty())
      table.complain("paths", complaint);
    else
      rule.paths.push_back(std::move(path));
  }
  if (table.has("paths")) return;
  if (rule.is_allow) {
    table.complain(nullptr, "an allow rule must say its paths, such as paths = [\"/calendar/**\"]");
  } else {
    PathTemplate everywhere;
    (void)PathTemplate::parse("/**", everywhere);
    rule.paths.push_back(std::move(everywhere));
  }
}

void read_calls(TomlTable& table, Rule& rule) {
  rule.rpc_methods = sorted(table.list("rpc_methods"));
  rule.tools = sorted(table.list("tools"));
  for (const std::string& method : rule.rpc_methods) {
    const bool is_name = std::all_of(method.begin(), method.end(),
                                     [](char c) { return c > 0x20 && c < 0x7F && c != '<' && c != '>'; });
    if (!is_name && method != "<response>")
      table.complain("rpc_methods",
                     "\"" + method + "\" is no method of JSON-RPC (answers are \"<response>\")");
  }
}

void read_people(TomlTable& table, Who& who) {
  who.actors = sorted(table.list("actors"));
  who.publishers = sorted(table.list("publishers"));
  who.owners = sorted(table.list("owners"));
  who.statuses = sorted(table.words("statuses", {"active", "suspended", "deleted"}));
  who.persons = sorted(table.list("persons"));
  who.clients = sorted(table.list("clients"));
  who.profiles = sorted(table.words("subject_profiles", {"user", "ai_agent", "service"}));
}

// "present" and "absent" say whom a rule is about.
void read_about(TomlTable& table, Who& who) {
  read_people(table, who);
  constexpr Presence kMeant[] = {Presence::kPresent, Presence::kAbsent, Presence::kEither};
  who.actor = kMeant[table.choice("actor", {"present", "absent"}, 2)];
  if (who.names_actor()) {
    if (who.actor == Presence::kAbsent)
      table.complain("actor", "no actor can be absent and be one of those this names");
    who.actor = Presence::kPresent;
  }
}

// "required" and "forbidden" say what must hold.
void read_needs(TomlTable& table, Who& who) {
  read_people(table, who);
  constexpr Presence kMeant[] = {Presence::kEither, Presence::kPresent, Presence::kAbsent};
  who.actor = kMeant[table.choice("actor", {"optional", "required", "forbidden"}, 0)];
  if (!who.names_actor()) return;
  if (who.actor == Presence::kAbsent)
    table.complain("actor", "an actor is forbidden, and must be one of those this names");
  // Who names agents means agents, unless it says that a person alone will do as well.
  if (!table.has("actor")) who.actor = Presence::kPresent;
}

std::optional<Milliseconds> read_span(TomlTable& table, std::string_view key, Milliseconds least,
                                      Milliseconds most) {
  const toml::node* node = table.take(key);
  if (node == nullptr) return std::nullopt;
  if (const auto text = node->value_exact<std::string>()) {
    std::optional<Milliseconds> span;
    if (text->ends_with("ms")) {
      if (const auto count = parse_duration(text->substr(0, text->size() - 2)); count && text->size() > 2)
        span = count->count;
    } else if (const auto seconds = parse_duration(*text)) {
      span = seconds->count * 1000;
    }
    if (span && *span >= least && *span <= most) return span;
  }
  const auto in_text = [](Milliseconds span) {
    return span % 1000 == 0 ? in_words(Seconds{span / 1000}) : std::to_string(span) + " milliseconds";
  };
  table.complain(node, std::string(key) +
                           " must be a span such as \"90s\", \"15m\", \"8h\" or \"30d\", from " +
                           in_text(least) + " to " + in_text(most));
  return std::nullopt;
}

// "08:30", up to "24:00".
std::optional<int> minutes_of(std::string_view text) {
  const auto digit = [&](size_t i) { return text[i] - '0'; };
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  for (const size_t i : {size_t{0}, size_t{1}, size_t{3}, size_t{4}}) {
    if (digit(i) < 0 || digit(i) > 9) return std::nullopt;
  }
  const int hours = digit(0) * 10 + digit(1);
  const int minutes = digit(3) * 10 + digit(4);
  if (minutes > 59 || hours * 60 + minutes > 24 * 60) return std::nullopt;
  return hours * 60 + minutes;
}

TimeWindow read_window(const toml::table& node, Complaints& complaints) {
  TomlTable table(node, complaints);
  TimeWindow window;
  static constexpr std::string_view kDays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
  const std::vector<std::string> days = table.list("days");
  if (!days.empty()) window.days = 0;
  for (const std::string& day : days) {
    const auto found = std::find(std::begin(kDays), std::end(kDays), day);
    if (found == std::end(kDays))
      table.complain("days", "days are mon, tue, wed, thu, fri, sat and sun, not \"" + day + "\"");
    else
      window.days |= 1U << static_cast<unsigned>(found - std::begin(kDays));
  }
  const auto time_of = [&](std::string_view key, int fallback) {
    const std::string text = table.text(key);
    if (text.empty()) return fallback;
    if (const auto minutes = minutes_of(text)) return *minutes;
    table.complain(key, std::string(key) + " must be a time of day such as \"08:30\"");
    return fallback;
  };
  window.from_minute = time_of("from", 0);
  window.to_minute = time_of("to", 24 * 60);
  if (window.from_minute == window.to_minute || window.from_minute == 24 * 60)
    table.complain(nullptr, "this time window is empty");
  const std::string offset = table.text("offset", "+00:00");
  const auto minutes = minutes_of(std::string_view(offset).substr(1));
  if ((offset[0] != '+' && offset[0] != '-') || !minutes || *minutes > 14 * 60)
    table.complain("offset",
                   "offset must be one from UTC, such as \"+01:00\" (names of zones are not known)");
  else
    window.offset_minutes = offset[0] == '-' ? -*minutes : *minutes;
  table.finish();
  return window;
}

Limit read_limit(const toml::table& node, bool is_rate, Complaints& complaints) {
  TomlTable table(node, complaints);
  Limit limit;
  constexpr Per kPer[] = {Per::kActor, Per::kGrant, Per::kPerson};
  if (!table.has("per")) table.complain(nullptr, "a limit must say per = \"actor\", \"grant\" or \"person\"");
  limit.per = kPer[table.choice("per", {"actor", "grant", "person"}, 0)];
  if (!table.has("count")) table.complain(nullptr, "a limit must say its count");
  limit.count = table.integer("count", 1, 1, 1'000'000'000);
  if (is_rate) {
    limit.every = read_span(table, "every", 1000, Milliseconds{86'400'000}).value_or(1000);
    if (!table.has("every")) table.complain(nullptr, "a rate must say every = a span such as \"1m\"");
    // What is left of a second must still tell one call from the next.
    else if (limit.count > limit.every * 1000)
      table.complain("count", "count is more than one a microsecond");
  } else {
    limit.kind = table.choice("in", {"day", "total"}, 0) == 0 ? LimitKind::kDay : LimitKind::kTotal;
    if (!table.has("in")) table.complain(nullptr, "a budget must say in = \"day\" or \"total\"");
  }
  table.finish();
  return limit;
}

// Two that count the same would be one counter: which of them holds, nobody could say.
void read_limits(TomlTable& table, std::string_view key, Rule& rule, Complaints& complaints) {
  for (const toml::table* node : table.tables(key)) {
    const Limit limit = read_limit(*node, key == "rate", complaints);
    const bool is_double = std::any_of(rule.limits.begin(), rule.limits.end(), [&](const Limit& other) {
      return other.kind == limit.kind && other.per == limit.per && other.every == limit.every;
    });
    if (is_double)
      table.complain(node, "this " + std::string(key) + " counts the same as an earlier one of this rule: " +
                               describe(limit) + "; keep the smaller");
    rule.limits.push_back(limit);
  }
}

void read_conditions(TomlTable& table, Rule& rule, Complaints& complaints) {
  if (const toml::table* about = table.table("for")) {
    TomlTable inner(*about, complaints);
    read_about(inner, rule.about);
    inner.finish();
    if (about->empty())
      table.complain("for", "\"for\" names nobody: leave it out, or say whom the rule is for");
  }
  read_needs(table, rule.needs);
  rule.needs_token = table.choice("token", {"required", "none"}, 0) == 0;
  rule.scopes = sorted(table.list("scopes"));
  for (const std::string& scope : rule.scopes) {
    if (!is_scope(scope)) table.complain("scopes", "\"" + scope + "\" is no scope");
  }
  rule.acr = table.list("acr");
  for (const std::string& value : rule.acr) {
    if (!is_scope(value)) table.complain("acr", "\"" + value + "\" is no acr value");
  }
  rule.max_age = read_span(table, "max_age", 1000, Milliseconds{365} * 86'400'000);
  if (table.has("max_chain")) rule.max_chain = static_cast<size_t>(table.integer("max_chain", 0, 0, 100));
  rule.chain_only = sorted(table.list("chain_only"));
  rule.chain_known = table.flag("chain_known", false);
  read_limits(table, "rate", rule, complaints);
  read_limits(table, "budget", rule, complaints);
  rule.asks_authzen = table.flag("authzen", true);
  if (rule.needs_token) return;
  // Without a token nobody is anybody.
  for (const char* key : {"for", "actor", "actors", "publishers", "owners", "statuses", "persons", "clients",
                          "subject_profiles", "scopes", "acr", "max_age", "max_chain", "chain_only",
                          "chain_known", "chain_forbids", "rate", "budget"}) {
    if (table.has(key))
      table.complain(key, std::string(key) +
                              " has no meaning where token = \"none\": a caller without a token has none");
  }
}

Rule read_rule(const toml::table& node, Complaints& complaints) {
  TomlTable table(node, complaints);
  Rule rule;
  rule.line = table.line();
  rule.name = table.text("name");
  if (!table.has("name")) table.complain(nullptr, "a rule must have a name");
  (void)table.text("description");
  rule.is_allow = table.choice("effect", {"allow", "deny"}, 0) == 0;
  if (!table.has("effect")) table.complain(nullptr, "a rule must say effect = \"allow\" or \"deny\"");
  read_methods(table, rule);
  read_paths(table, rule);
  rule.hosts = sorted(table.list("hosts"));
  read_calls(table, rule);
  rule.chain_forbids = sorted(table.list("chain_forbids"));
  for (const toml::table* window : table.tables("times"))
    rule.times.push_back(read_window(*window, complaints));
  if (rule.is_allow) {
    read_conditions(table, rule, complaints);
  } else {
    read_about(table, rule.about);
    for (const char* key : {"for", "token", "scopes", "acr", "max_age", "max_chain", "chain_only",
                            "chain_known", "rate", "budget", "authzen"}) {
      if (table.take(key) != nullptr)
        table.complain(
            key, std::string(key) + " has no meaning in a deny rule: all its conditions say whom it denies");
    }
  }
  table.finish();
  return rule;
}

Authzen read_authzen(const toml::table& node, const std::string& file, Complaints& complaints) {
  TomlTable table(node, complaints);
  Authzen authzen;
  authzen.url = table.text("url");
  const auto parts = split_uri(authzen.url);
  const auto authority = parts && parts->authority ? split_authority(*parts->authority) : std::nullopt;
  const bool is_safe =
      authority && !parts->fragment &&
      (parts->scheme == "https" || (parts->scheme == "http" && is_loopback_host(authority->host)));
  if (!is_safe && (!authzen.url.empty() || !table.has("url")))
    table.complain("url",
                   "url must be the https address of an evaluation endpoint (http only on this machine)");
  authzen.timeout = read_span(table, "timeout", 1, 10'000).value_or(200);
  authzen.allows_on_failure = table.choice("on_failure", {"deny", "allow"}, 0) == 1;
  const auto beside = [&](std::string path) {
    if (path.empty() || path.starts_with('/')) return path;
    return (std::filesystem::path(file).parent_path() / path).string();
  };
  authzen.token_file = beside(table.text("token_file"));
  struct stat status {};
  if (!authzen.token_file.empty() && ::stat(authzen.token_file.c_str(), &status) == 0 &&
      (status.st_mode & 077) != 0) {
    table.complain("token_file", authzen.token_file + " can be read by others; chmod 600 it");
  }
  authzen.ca_file = beside(table.text("ca_file"));
  table.finish();
  return authzen;
}

// One line, whatever the file had in it.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return text;
}

}  // namespace

std::optional<RuleSet> read_rules(std::string_view text, const std::string& name,
                                  std::vector<Policy::Fault>& faults) {
  const auto report = [&](size_t line, const std::string& what) {
    faults.push_back({printable(name + ":" + std::to_string(line) + ": " + what), line});
  };
  if (text.size() > kMaxFileBytes) {
    report(1, "is larger than any policy");
    return std::nullopt;
  }
  RuleSet result;
  Complaints complaints;
  try {
    const toml::table parsed = toml::parse(text, name);
    TomlTable table(parsed, complaints);
    if (const toml::table* authzen = table.table("authzen"))
      result.authzen = read_authzen(*authzen, name, complaints);
    std::map<std::string, size_t> lines;
    for (const toml::table* node : table.tables("rule")) {
      if (result.rules.size() == kMaxRules) {
        table.complain(node, "there are too many rules");
        break;
      }
      Rule rule = read_rule(*node, complaints);
      const auto [first, is_new] = lines.emplace(rule.name, rule.line);
      if (!is_new && !rule.name.empty())
        table.complain(node, "rule \"" + rule.name + "\" has the name of the one in line " +
                                 std::to_string(first->second));
      result.rules.push_back(std::move(rule));
    }
    table.finish();
  } catch (const toml::parse_error& fault) {
    report(fault.source().begin.line, std::string(fault.description()));
    return std::nullopt;
  }
  for (const auto& [line, what] : complaints) report(line, what);
  if (!complaints.empty()) return std::nullopt;
  return result;
}

}  // namespace behalf::sdk::rules
