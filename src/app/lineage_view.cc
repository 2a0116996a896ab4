#include "app/lineage_view.h"

#include <cstdio>
#include <map>
#include <vector>

#include "app/admin_client.h"
#include "app/commands.h"
#include "app/terminal.h"
#include "base/bytes.h"
#include "http/message.h"

namespace behalf::app {
namespace {

constexpr size_t kDeepest = 40;  // levels of indentation; what hangs below is drawn there too

// What is known of a thing in words that may be shown.
std::string shown(const json::Value& value, std::string_view name) { return one_line(text_of(value, name)); }

std::string joined(const json::Value& value, std::string_view name, std::string_view between) {
  std::string text;
  for (const json::Value& item : list_of(value, name)) {
    if (item.string() == nullptr) continue;
    if (!text.empty()) text += between;
    text += one_line(*item.string());
  }
  return text;
}

std::string times(int64_t count) { return count == 1 ? "once" : std::to_string(count) + " times"; }

class Drawing {
 public:
  explicit Drawing(bool with_colours) : with_colours_(with_colours) {}

  std::string draw(const json::Value& report) {
    for (const json::Value& lineage : list_of(report, "lineages")) {
      if (!text_.empty()) line("");
      draw_lineage(lineage);
    }
    for (const json::Value& cut : list_of(report, "cut")) draw_cut(cut);
    return std::move(text_);
  }

 private:
  using Below = std::map<std::string, std::vector<const json::Value*>>;

  void line(const std::string& text) { text_ += text + '\n'; }
  std::string paint(std::string_view code, const std::string& text) const {
    return with_colours_ ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text;
  }
  std::string strong(const std::string& text) const { return paint("1", text); }
  std::string dim(const std::string& text) const { return paint("2", text); }
  std::string bad(const std::string& text) const { return paint("31", text); }
  std::string good(const std::string& text) const { return paint("32", text); }

  void draw_cut(const json::Value& cut) {
    if (cut.string() != nullptr) line(bad("not complete: ") + one_line(*cut.string()));
  }

  // "active until …", "ended … because …".
  std::string state_of(const json::Value& thing) const {
    const std::string status = shown(thing, "status");
    const std::string cause = shown(thing, "cause");
    const std::string expires = shown(thing, "expires_at");
    if (status == "active") return good("active") + (expires.empty() ? "" : dim(" until " + expires));
    if (status == "spent") return dim("used");
    const std::string ended = shown(thing, "ended_at");
    if (cause == "expired") return dim("expired" + (expires.empty() ? "" : " " + expires));
    const std::string with = shown(thing, "ended_with");
    return bad("ended") + (ended.empty() ? "" : " " + ended) + (cause.empty() ? "" : ": " + bad(cause)) +
           (with.empty() ? "" : " (" + with + ")");
  }

  void draw_lineage(const json::Value& lineage) {
    if (const json::Value* grant = lineage.find("grant")) {
      const std::string agent = shown(*grant, "agent");
      line(strong(shown(*grant, "user")) + " allowed " +
           (agent.empty() ? std::string{} : strong(agent) + " through ") + "client " +
           shown(*grant, "client") + dim("  consent " + shown(*grant, "id")));
      line("  " + shown(*grant, "scopes") + " at " + joined(*grant, "resources", ", "));
      line("  decided " + shown(*grant, "created_at") + ", " + state_of(*grant));
    } else {
      line(strong("software for itself") + dim("  from " + shown(lineage, "root")));
    }
    Below below;
    std::map<std::string, const json::Value*> by_id;
    for (const json::Value& node : list_of(lineage, "nodes")) {
      if (std::string id = shown(node, "id"); !id.empty()) by_id[std::move(id)] = &node;
    }
    // A refresh token that took another's place hangs where the first one does: a family is a list, not a
    // staircase. Ids are in the order of time, so the one before has its place already.
    std::map<std::string, std::string> family;
    for (const auto& [id, node] : by_id) {
      std::string above = shown(*node, "parent");
      if (shown(*node, "kind") == "refresh_token") {
        if (const auto before = family.find(above); before != family.end()) above = before->second;
        family[id] = above;
      }
      below[by_id.contains(above) ? above : std::string{}].push_back(node);
    }
    draw_below(below);
    draw_uses("", list_of(lineage, "elsewhere"), "by tokens not shown here: ");
    draw_decisions("", list_of(lineage, "refused"), "refused");
    draw_decisions("", list_of(lineage, "events"), "also");
    for (const json::Value& cut : list_of(lineage, "cut")) draw_cut(cut);
  }

  // With a stack of its own: how deep it goes is up to what was issued.
  void draw_below(const Below& below) {
    struct Level {
      const std::vector<const json::Value*>* nodes;
      size_t next;
      std::string indent;
    };
    const auto top = below.find("");
    if (top == below.end()) return;
    std::vector<Level> levels{{&top->second, 0, ""}};
    while (!levels.empty()) {
      Level& level = levels.back();
      if (level.next == level.nodes->size()) {
        levels.pop_back();
        continue;
      }
      const json::Value& node = *(*level.nodes)[level.next++];
      const bool is_last = level.next == level.nodes->size();
      const auto children = below.find(shown(node, "id"));
      const bool has_children = children != below.end();
      const std::string indent = level.indent;
      const std::string inner = indent + (is_last ? "   " : "│  ");
      draw_node(node, indent + (is_last ? "└─ " : "├─ "), inner + (has_children ? "│  " : "   "));
      if (has_children) levels.push_back({&children->second, 0, levels.size() < kDeepest ? inner : indent});
    }
  }

  void draw_node(const json::Value& node, const std::string& first, const std::string& rest) {
    const std::string kind = shown(node, "kind");
    const std::string chain = joined(node, "chain", " < ");
    std::string what = kind == "authorization_code" ? "code"
                       : kind == "refresh_token"    ? "refresh token"
                                                    : "token";
    const std::string by = shown(node, "by");
    if (by == "token.token-exchange") what = "exchanged token";
    if (by == "token.jwt-bearer") what = "on-behalf-of token";
    line(first + what + " " + strong(chain.empty() ? shown(node, "subject") : chain) + " through " +
         shown(node, "client") + dim("  " + shown(node, "id")));
    std::string reach = shown(node, "scope");
    if (const std::string resource = shown(node, "resource"); !resource.empty()) reach += " at " + resource;
    if (!reach.empty() && kind == "access_token") line(rest + reach);
    line(rest + dim("issued " + shown(node, "issued_at")) + ", " + state_of(node));
    if (const json::Value* asked = node.find("introspected"))
      line(rest +
           dim("asked about " + times(number_of(*asked, "count")) + ", last " + shown(*asked, "last")));
    draw_uses(rest, list_of(node, "uses"), "");
    draw_decisions(rest, list_of(node, "refused"), "refused");
  }

  void draw_uses(const std::string& indent, const json::Value::Array& uses, std::string_view lead) {
    for (const json::Value& use : uses) {
      const int64_t denied = number_of(use, "denied");
      const int64_t allowed = number_of(use, "count") - denied;
      const std::string what = shown(use, "what");
      std::string text = indent + "▸ " + std::string(lead) + strong(what.empty() ? "a call" : what) + " at " +
                         shown(use, "resource") + ": ";
      if (allowed > 0) text += good("let through " + times(allowed));
      if (denied > 0) {
        const std::string reason = shown(use, "last_denied_for");
        text += (allowed > 0 ? ", " : "") + bad("denied " + times(denied)) +
                (reason.empty() ? "" : " (" + reason + ")");
      }
      const std::string start = shown(use, "first");
      const std::string end = shown(use, "last");
      text += dim(start == end ? ", " + start : ", " + start + " to " + end);
      for (const auto& [name, word] :
           {std::pair{"shadow", "in shadow"}, {"disputed", "disputed"}, {"unverified", "not verified"}}) {
        if (const int64_t count = number_of(use, name); count > 0)
          text += "; " + bad(std::string(word) + " " + times(count));
      }
      if (const int64_t late = number_of(use, "after_end_ms"); late > 0)
        text += "; " + bad("let through " + std::to_string(late) + " ms after its end");
      line(text);
    }
  }

  void draw_decisions(const std::string& indent, const json::Value::Array& decisions,
                      const std::string& word) {
    for (const json::Value& decided : decisions) {
      const std::string reason = shown(decided, "reason");
      line(indent + "▸ " + (word == "refused" ? bad(word) : dim(word)) + " " + shown(decided, "event") + " " +
           times(number_of(decided, "count")) + (reason.empty() ? "" : " (" + reason + ")") +
           dim(", last " + shown(decided, "last")));
    }
  }

  const bool with_colours_;
  std::string text_;
};

}  // namespace

std::string draw_lineages(const json::Value& report, bool with_colours) {
  return Drawing(with_colours).draw(report);
}

int show_lineage(const LineageQuery& query) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& [name, value] : {std::pair<std::string, std::string>{"grant", query.grant},
                                    {"token", query.token},
                                    {"user", query.user},
                                    {"agent", query.agent}}) {
    if (!value.empty()) fields.emplace_back(name, value);
  }
  const AdminAnswer answer =
      ask_server(query.config_path, "GET", "/audit/lineage?" + http::write_form(fields));
  if (answer.exit_code != kOk) return answer.exit_code;
  const std::string text =
      query.as_json ? json::write_pretty(answer.value) + "\n" : draw_lineages(answer.value, shows_colours());
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kOk;
}

}  // namespace behalf::app
