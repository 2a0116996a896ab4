// What remains when the story is over: the audit log with its chain of hashes, and the lineage as a tree.
// Both come from the administration API, over its socket.
#include <set>

#include "app/admin_client.h"
#include "app/commands.h"
#include "app/demo/story.h"
#include "base/bytes.h"
#include "crypto/hash.h"

namespace behalf::app {
namespace {

constexpr int kPage = 500;
constexpr json::Limits kRecordLimits{.bytes = 1024 * 1024, .depth = 32};

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

class Tree {
 public:
  Tree(const World& world, Screen& screen, const json::Value::Array& nodes)
      : world_(world), screen_(screen), nodes_(nodes) {
    for (const json::Value& node : nodes) ids_.insert(text_of(node, "id"));
  }
  // Everything below `parent`; the first nodes are those whose parent is none of the tree.
  void draw(const std::string& parent, const std::string& indent) {
    std::vector<const json::Value*> children;
    for (const json::Value& node : nodes_) {
      const std::string above = text_of(node, "parent");
      if (parent.empty() ? !ids_.contains(above) : above == parent) children.push_back(&node);
    }
    for (const json::Value* node : children) {
      const bool is_last = node == children.back();
      screen_.say(indent + (is_last ? "└─ " : "├─ ") + describe(*node));
      const std::string below = indent + (is_last ? "   " : "│  ");
      screen_.say(below + screen_.dim("   " + details(*node)));
      ++drawn_;
      draw(text_of(*node, "id"), below);
    }
  }
  size_t drawn() const { return drawn_; }

 private:
  std::string describe(const json::Value& node) const {
    const std::string status = text_of(node, "status");
    const std::string cause = text_of(node, "cause");
    const std::string ending = status + (cause.empty() ? "" : ": " + cause);
    std::string kind = text_of(node, "kind");
    for (char& c : kind) c = c == '_' ? ' ' : c;
    return screen_.strong(kind) + "  " + screen_.accent(printable(chain_text(node))) + "  [" +
           (status == "active" ? screen_.good(ending) : screen_.bad(printable(ending))) + "]";
  }
  std::string details(const json::Value& node) const {
    const std::string resource = text_of(node, "resource");
    const std::string where = resource == world_.planner_resource() ? " at the Planner API"
                              : resource == world_.mail_resource()  ? " at the Mail API"
                                                                    : "";
    return printable(text_of(node, "scope")) + where + ", through client " +
           printable(text_of(node, "client"));
  }
  const World& world_;
  Screen& screen_;
  const json::Value::Array& nodes_;
  std::set<std::string> ids_;
  size_t drawn_ = 0;
};

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
  const json::Value answer = ask(world, "/lineage?grant=" + grant);
  const auto& nodes = list_of(answer, "nodes");
  const json::Value* decision = answer.find("grant");
  if (decision == nullptr) throw StoryEnds("the grant is not there");
  screen.say(screen.strong(printable(text_of(*decision, "user"))) + " (person)");
  screen.say("└─ " + screen.strong("consent") + "  to " +
             screen.accent(printable(text_of(*decision, "agent"))) + " through client " +
             printable(text_of(*decision, "client")) + "  [" +
             screen.bad(text_of(*decision, "status") + ": " + text_of(*decision, "cause")) + "]");
  screen.say("   " + screen.dim("   " + printable(text_of(*decision, "scopes"))));
  Tree tree(world, screen, nodes);
  tree.draw({}, "   ");
  bool all_over = !nodes.empty();
  for (const json::Value& node : nodes) all_over = all_over && text_of(node, "status") != "active";
  screen.check(
      tree.drawn() == nodes.size() && nodes.size() >= 8,
      "every code and token hangs in one tree under Alice's decision: " + std::to_string(nodes.size()));
  screen.check(all_over, "and none of them is alive any more");
}

}  // namespace behalf::app
