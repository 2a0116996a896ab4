#include "model/scope.h"

#include <algorithm>
#include <iterator>

namespace behalf {

ScopeSet::ScopeSet(std::initializer_list<std::string_view> tokens) {
  for (const std::string_view token : tokens) add(token);
}

bool ScopeSet::is_token(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7F && c != '"' && c != '\\';
  });
}

std::optional<ScopeSet> ScopeSet::parse(std::string_view text) {
  ScopeSet set;
  if (!text.empty())
    set.tokens_.reserve(
        std::min(kMaxTokens, 1 + static_cast<size_t>(std::count(text.begin(), text.end(), ' '))));
  while (!text.empty()) {
    const size_t space = text.find(' ');
    const std::string_view token = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    if (token.empty()) continue;
    if (!is_token(token)) return std::nullopt;
    set.add(token);
    if (set.size() > kMaxTokens) return std::nullopt;
  }
  return set;
}

bool ScopeSet::contains(std::string_view token) const {
  return std::binary_search(tokens_.begin(), tokens_.end(), token);
}

bool ScopeSet::is_at_most(const ScopeSet& other) const {
  return std::includes(other.tokens_.begin(), other.tokens_.end(), tokens_.begin(), tokens_.end());
}

ScopeSet ScopeSet::intersect(const ScopeSet& other) const {
  ScopeSet result;
  result.tokens_.reserve(std::min(size(), other.size()));
  std::set_intersection(tokens_.begin(), tokens_.end(), other.tokens_.begin(), other.tokens_.end(),
                        std::back_inserter(result.tokens_));
  return result;
}

bool ScopeSet::shares_any(const ScopeSet& other) const {
  return std::any_of(tokens_.begin(), tokens_.end(),
                     [&](const std::string& token) { return other.contains(token); });
}

void ScopeSet::keep_only(const ScopeSet& other) {
  std::erase_if(tokens_, [&](const std::string& token) { return !other.contains(token); });
}

ScopeSet ScopeSet::without(const ScopeSet& other) const {
  ScopeSet result;
  result.tokens_.reserve(size());
  std::set_difference(tokens_.begin(), tokens_.end(), other.tokens_.begin(), other.tokens_.end(),
                      std::back_inserter(result.tokens_));
  return result;
}

ScopeSet ScopeSet::unite(const ScopeSet& other) const {
  ScopeSet result;
  result.tokens_.reserve(size() + other.size());
  std::set_union(tokens_.begin(), tokens_.end(), other.tokens_.begin(), other.tokens_.end(),
                 std::back_inserter(result.tokens_));
  return result;
}

void ScopeSet::add(std::string_view token) {
  const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), token);
  if (at == tokens_.end() || *at != token) tokens_.emplace(at, token);
}

const ScopeSet& server_scopes() {
  static const ScopeSet kScopes{kSignalsScope, kEvidenceScope, kDecisionsScope};
  return kScopes;
}

bool is_reserved_for_server(std::string_view scope) { return scope.starts_with("behalf."); }

std::string ScopeSet::text() const {
  size_t length = 0;
  for (const std::string& token : tokens_) length += token.size() + 1;
  std::string text;
  text.reserve(length);
  for (const std::string& token : tokens_) {
    if (!text.empty()) text.push_back(' ');
    text += token;
  }
  return text;
}

}  // namespace behalf
