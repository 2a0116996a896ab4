// What may be done, and the one comparison that matters: is this at most that?
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace behalf {

// A set of scope tokens (RFC 6749 §3.3), kept sorted; its text form is sorted too, so equal sets read alike.
class ScopeSet {
 public:
  static constexpr size_t kMaxTokens = 200;

  ScopeSet() = default;
  ScopeSet(std::initializer_list<std::string_view> tokens);
  // Space-separated tokens; nothing if a character is not allowed, or for too many. Empty text is the empty
  // set.
  static std::optional<ScopeSet> parse(std::string_view text);
  static bool is_token(std::string_view text);

  bool empty() const { return tokens_.empty(); }
  size_t size() const { return tokens_.size(); }
  bool contains(std::string_view token) const;
  bool is_at_most(const ScopeSet& other) const;  // subset
  bool shares_any(const ScopeSet& other) const;
  ScopeSet intersect(const ScopeSet& other) const;
  void keep_only(const ScopeSet& other);  // intersect(), in place
  ScopeSet without(const ScopeSet& other) const;
  ScopeSet unite(const ScopeSet& other) const;
  void add(std::string_view token);
  std::string text() const;
  const std::vector<std::string>& tokens() const { return tokens_; }
  bool operator==(const ScopeSet&) const = default;

 private:
  std::vector<std::string> tokens_;
};

// Scopes that open this server's own APIs for resource servers (docs/decisions/0008). A client has
// them in its ceiling and gets them for itself alone: no resource knows them, no person passes them on.
inline constexpr std::string_view kSignalsScope = "behalf.signals";
inline constexpr std::string_view kEvidenceScope = "behalf.evidence";
inline constexpr std::string_view kDecisionsScope = "behalf.decisions";
const ScopeSet& server_scopes();
// Names that begin like these are kept for them.
bool is_reserved_for_server(std::string_view scope);

}  // namespace behalf
