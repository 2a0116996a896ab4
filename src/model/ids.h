// Names of things, as types that cannot be swapped.
//
// Users, agents and clients share one namespace and no two of them share an id: `sub` in a token of a client
// can never be mistaken for a person (RFC 9068 §5), and an agent never resolves to the user it acts for.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/environment.h"
#include "base/ordered_id.h"

namespace behalf {

template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text) : text_(std::move(text)) {}
  explicit Id(std::string_view text) : text_(text) {}
  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Id&) const = default;

 private:
  std::string text_;
};

using UserId = Id<struct UserTag>;
using AgentId = Id<struct AgentTag>;
using ClientId = Id<struct ClientTag>;
using ResourceId = Id<struct ResourceTag>;  // the identifier that appears as `aud`: a URI, or a logical name
using GrantId = Id<struct GrantTag>;  // one consent and everything that descends from it; claim `grant_id`
using NodeId = Id<struct NodeTag>;    // one code or token in a lineage; claim `jti`
using RequestId = Id<struct RequestTag>;  // one stored authorization request
using SessionId = Id<struct SessionTag>;

// 43 characters of base64url: 256 unpredictable bits.
std::string make_secret_text(Random& random);
inline constexpr size_t kSecretLength = 43;

// An id that a person or the registry chose: 1-255 printable ASCII characters without space, compared byte
// for byte (decision D-02: no normalisation, no case folding).
bool is_registry_id(std::string_view text);

}  // namespace behalf

template <class Tag>
struct std::hash<behalf::Id<Tag>> {
  size_t operator()(const behalf::Id<Tag>& id) const noexcept { return std::hash<std::string>{}(id.text()); }
};
