// What remains when the story is over: the audit log with its chain of hashes, and the lineage as a tree,
// from consent to last use. Both come from the administration API, over its socket.
#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "app/admin_client.h"
#include "app/commands.h"
#include "app/demo/story.h"
#include "app/lineage_view.h"
#include "app/terminal.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "model/audit.h"

namespace behalf::app {
namespace {

constexpr int kPage = 500;

json::Value ask(const World& world, const std::string& path) {
  AdminAnswer answer = ask_server(world.config_path(), "GET", path);
  if (answer.exit_code != kOk) throw StoryEnds("the administration API did not answer " + path);
  return std::move(answer.value);
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string chain_text(const json::Value& value) {
  std::string chain;
  for (const json::Value& hop : list_of(value, "chain"))
    chain += (chain.empty() ? "" : " ← ") + *hop.string();
  return chain;
}

// What an actor did, as the guards said: how often it came, and how often it was turned away.
struct Uses {
  int64_t count = 0;
  int64_t denied = 0;
};
Uses uses_of(const json::Value& report, std::string_view actor) {
  Uses uses;
  for (const json::Value& lineage : list_of(report, "lineages")) {
    for (const json::Value& node : list_of(lineage, "nodes")) {
      const auto& chain = list_of(node, "chain");
      if (chain.empty() || chain.front().string() == nullptr || *chain.front().string() != actor) continue;
      for (const json::Value& use : list_of(node, "uses")) {
        uses.count += use.find_integer("count").value_or(0);
        uses.denied += use.find_integer("denied").value_or(0);
      }
    }
  }
  return uses;
}

// The report once the guards' records are in it: they bring them within moments, not before they answer.
json::Value ask_for_lineage(const World& world, const std::string& grant) {
  constexpr auto kPatience = std::chrono::seconds(10);
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    json::Value report = ask(world, "/audit/lineage?grant=" + grant);
    const bool has_all = uses_of(report, kSearchAgent).denied > 0 && uses_of(report, kPlannerApi).denied > 0;
    if (has_all || std::chrono::steady_clock::now() > give_up) return report;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

void show_audit(const World& world, Screen& screen, const std::string& grant) {
  std::string previous(32, '\0');
  int64_t last = 0;
  size_t count = 0;
  bool is_intact = true;
  std::set<std::string> of_grant;
  size_t printed = 0;
  size_t denied = 0;
  for (;;) {
    const json::Value page =
        ask(world, "/audit?after=" + std::to_string(last) + "&limit=" + std::to_string(kPage));
    const auto& records = list_of(page, "records");
    for (const json::Value& entry : records) {
      const std::string text = text_of(entry, "record");
      const int64_t sequence = entry.find_integer("sequence").value_or(0);
      const Digest digest = crypto::sha256(previous + text);
      is_intact = is_intact && hex(digest) == text_of(entry, "hash") && sequence == last + 1;
      previous = std::string(as_text(digest));
      last = sequence;
      ++count;
      const auto record = json::parse(text, kRecordLimits);
      if (!record || text_of(*record, "grant") != grant) continue;
      ++printed;
      of_grant.insert(text_of(*record, "event"));
      const bool is_denied = text_of(*record, "outcome") == "denied";
      denied += is_denied ? 1 : 0;
      std::string chain = chain_text(*record);
      if (chain.empty()) chain = text_of(*record, "agent");
      const std::string reason = text_of(*record, "reason");
      screen.say(padded(std::to_string(sequence), 4) +
                 (is_denied ? screen.bad("denied ") : screen.good("allowed")) + " " +
                 padded(printable(text_of(*record, "event")), 26) + " " +
                 padded(printable(text_of(*record, "user")), 11) +
                 padded(printable(text_of(*record, "client")), 12) + printable(chain) +
                 (reason.empty() ? "" : screen.dim("  (" + printable(reason) + ")")));
    }
    if (records.size() < static_cast<size_t>(kPage)) break;
  }
  screen.aside(
      "(number, outcome, event, person, client, who acts ← who passed it on, and the reason of a refusal)");
  bool is_whole = denied > 0;
  for (const std::string_view event :
       {"consent", "token.authorization_code", "token.refresh_token", "introspect"}) {
    bool found = false;
    for (const std::string& seen : of_grant) found = found || seen.starts_with(event);
    is_whole = is_whole && found;
  }
  screen.check(is_whole,
               "consent, code, refresh, exchange, questions and refusals: " + std::to_string(printed) +
                   " records of this grant, " + std::to_string(denied) + " of them refusals");
  screen.check(is_intact && count > 0,
               "the chain of hashes holds over all " + std::to_string(count) +
                   " records: each is SHA-256(hash before || record), recomputed here");
}

void show_lineage(const World& world, Screen& screen, const std::string& grant) {
  const json::Value report = ask_for_lineage(world, grant);
  std::string_view rest;
  const std::string drawing = draw_lineages(report, shows_colours());
  for (rest = drawing; !rest.empty(); rest.remove_prefix(std::min(rest.size(), rest.find('\n') + 1)))
    screen.say(rest.substr(0, rest.find('\n')));
  const auto& lineages = list_of(report, "lineages");
  if (lineages.size() != 1) throw StoryEnds("the grant is not there");
  const auto& nodes = list_of(lineages.front(), "nodes");
  bool all_over = true;
  for (const json::Value& node : nodes) all_over = all_over && text_of(node, "status") != "active";
  screen.check(nodes.size() >= 8, "every code and token hangs in one tree under Alice's decision: " +
                                      std::to_string(nodes.size()));
  screen.check(all_over, "and none of them is alive any more");
  const Uses search = uses_of(report, kSearchAgent);
  const Uses middle_tier = uses_of(report, kPlannerApi);
  screen.check(search.count > search.denied && search.denied >= 2 && middle_tier.denied >= 1,
               "what did the Search Agent do? It called " + std::to_string(search.count) +
                   " times and was turned away " + std::to_string(search.denied) +
                   " times: the guards' own words, in the same log");
}

}  // namespace behalf::app
