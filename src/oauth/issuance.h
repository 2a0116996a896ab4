// The one place where tokens are made. A grant type decides an Issuance; recording it (inside the
// transaction), signing it (beside the commit) and writing the answer happen here and nowhere else.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "model/lineage.h"
#include "oauth/call.h"
#include "store/store.h"

namespace behalf::oauth {

// A credential of ours that is no JWT: prefix, ordered id, secret. The secret is stored as a keyed hash only.
struct Handle {
  NodeId id;
  std::string secret;
};
inline constexpr std::string_view kCodePrefix = "ac_";
inline constexpr std::string_view kRefreshTokenPrefix = "rt_";
inline constexpr std::string_view kAccessTokenPrefix = "at_";  // of a resource with token_format = "opaque"
std::string write_handle(std::string_view prefix, const Handle& handle);
std::optional<Handle> parse_handle(std::string_view prefix, std::string_view text);

inline constexpr std::string_view kAccessTokenTypeUrn = "urn:ietf:params:oauth:token-type:access_token";

struct Issuance {
  Node access_token;
  std::shared_ptr<const Resource> resource;  // null for an actor token, whose audience is this server
  std::optional<Node> new_refresh_token;     // to be recorded
  std::string refresh_token;                 // as handed out; empty: none
  std::string issued_token_type;             // RFC 8693 §2.2.1; empty where the grant has no such member
  bool microsoft_members = false;            // ext_expires_in
};

// The child of `parent` in its lineage: same root, grant, person, sign-in; what differs is the grant type's
// to set.
Node child_of(const Node& parent, NodeId id, NodeKind kind, UnixTime now);

// Inside the transaction: moves the nodes into the lineage and writes the facts of the audit record. The
// access token's node, as it was recorded.
std::shared_ptr<const Node> record_issuance(Call& call, store::Transaction& transaction, Issuance& issuance);

// Beside the commit: the signed token (RFC 9068).
std::string sign_access_token(const Services& services, const Node& node, const Resource* resource);

// Whether tokens of this node show all of the chain that the ledger has (D-82, D-92).
bool shows_whole_chain(const Node& node, const Resource* resource);

// RFC 6749 §5.1. Remembers the token, whose node this is, as ours.
http::Response token_response(Call& call, const Issuance& issuance, const Node& node,
                              const std::string& access_token);

// The claims a token of this node carries; introspection answers with the same (RFC 7662 §2.2).
void add_claims(json::ObjectWriter& writer, const Services& services, const Node& node,
                const Resource* resource);

// Whether `sub` in tokens of this node is the id that we and the log know the person by (D-74).
bool shows_subject(const Node& node, const Resource* resource);

}  // namespace behalf::oauth
