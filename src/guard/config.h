// guard.toml: read strictly, as every file of the operator's is. Unknown keys, wrong types and unsafe values
// are errors that name file and line (docs/guard.md has the reference).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "http/forward.h"
#include "http/server.h"

namespace behalf::guard {

// Who asks: a proxy about a request it holds (each has its own way to say what the request was), or a client
// whose request goes through here.
enum class Dialect {
  kNginx,    // auth_request: X-Original-Method, X-Original-URI; 200, 401 and 403 only
  kEnvoy,    // ext_authz, HTTP service: method and path are the request's own, behind a prefix
  kForward,  // forward auth of Traefik and Caddy: X-Forwarded-Method, X-Forwarded-Uri
  kProxy,    // the request itself
};

enum class IdentityStyle { kHeaders, kSigned };
enum class RecordFormat { kJsonLines, kOcsf };
// When a record is on the disk.
enum class Durability {
  kKernel,  // the operating system has it before the answer leaves: outlives the guard, not the machine
  kSecond,  // and once a second it is made durable
  kAnswer,  // before the answer leaves
};

struct ServerSettings {
  std::string issuer;
  std::string client_id;  // empty: no feed, no evidence to the server
  Secret client_secret;
  std::string ca_file;
};

struct ResourceSettings {
  std::string id;          // what `aud` must name
  std::string public_url;  // where clients reach the API
  std::string name;
  std::vector<std::string> scopes;
};

struct EvidenceSettings {
  std::string file = "-";  // "-": standard output; empty: none
  RecordFormat format = RecordFormat::kJsonLines;
  bool send = false;  // to the server's POST /evidence
  std::string spool;  // folder, where records wait
  size_t max_spool = size_t{256} * 1024 * 1024;
  bool drop_when_full = false;  // otherwise: deny
  Durability durability = Durability::kSecond;
};

struct Settings {
  std::string path;  // of the file itself
  ServerSettings server;
  ResourceSettings resource;
  http::Listen listen;
  unsigned threads = 1;
  Dialect dialect = Dialect::kProxy;

  // Deciding for a proxy.
  bool needs_credential = true;
  Secret credential;        // what the proxy shows in Behalf-Guard-Credential
  std::string decide_path;  // where it asks; for Envoy, the prefix

  // Being the proxy.
  std::shared_ptr<http::Origin> origin;
  std::string origin_host;  // the Host the API is told
  bool pass_token = false;
  bool websocket = true;
  bool health = true;              // /livez and /readyz are the guard's, not the API's
  bool health_is_full = false;     // and say everything to everybody
  size_t max_body = SIZE_MAX;      // of any request
  size_t read_body = 1024 * 1024;  // what is read where the policy looks at bodies

  std::string policy;
  std::string counters;  // file in which rates and budgets outlive the process; empty: they do not
  bool shadow = false;
  bool follow_feed = true;
  int64_t max_staleness = 15'000;  // milliseconds
  bool serve_when_stale = false;
  IdentityStyle identity = IdentityStyle::kHeaders;
  std::string identity_key;  // file; empty: a fresh key for each run
  EvidenceSettings evidence;
};

// Paths in the file are relative to it. The reason is one line: "guard.toml:7: ...".
Result<Settings, std::string> read_settings(const std::string& path);
// The same for a text, as if it stood in `path`.
Result<Settings, std::string> parse_settings(std::string_view text, const std::string& path);

}  // namespace behalf::guard
