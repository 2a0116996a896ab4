// The demo's protected resources, as their own HTTP server: a planner and a mail box.
//
// They do what an API behind this server should do: announce themselves (RFC 9728), verify RFC 9068 tokens
// offline with the fetched keys, demand that somebody acts, and challenge precisely (RFC 6750, with
// `required_scope` as the draft has it). The addresses under /live/ also ask introspection, so that
// revocation shows at once; the others honour a JWT until it expires, as any offline check does.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/demo/world.h"
#include "crypto/jwk.h"
#include "http/server.h"

namespace behalf::app {

class DemoApi {
 public:
  // Listens at once; `world` must be complete before the first call that carries a token.
  DemoApi(const World& world, uint16_t preferred_port);
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  // One line an answered call: who it was for, through which app, and who acted.
  std::vector<std::string> log() const;

 private:
  struct Route;
  struct Refusal;
  http::Response answer(const http::Request& request);
  http::Response metadata(std::string_view name) const;
  http::Response refuse(const Route& route, const Refusal& refusal) const;
  std::optional<Refusal> verify(const Route& route, const std::string& token, json::Value& claims);
  std::optional<Refusal> introspect(const Route& route, const std::string& token) const;
  void fetch_keys();

  const World& world_;
  mutable std::mutex mutex_;
  std::vector<std::string> log_;            // guarded by mutex_
  std::vector<crypto::VerifyingKey> keys_;  // guarded by mutex_
  std::unique_ptr<http::Server> server_;    // last: its threads use the rest
};

// Listens on `preferred`, or anywhere if that is taken.
std::unique_ptr<http::Server> listen_near(uint16_t preferred, http::Handler handler);

}  // namespace behalf::app
