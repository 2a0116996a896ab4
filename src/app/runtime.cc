#include "app/runtime.h"

#include "app/routes.h"
#include "base/bytes.h"
#include "base/file.h"
#include "console/admin_api.h"
#include "console/front_channel.h"
#include "crypto/hash.h"
#include "oauth/signals/transmitter.h"
#include "store/connect.h"

namespace behalf::app {
namespace {

// Kept beyond its end so that a late replay is still recognised for what it is.
using oauth::kKeepExpired;
// Looked at by one work. Where it finds that much is over it goes on at once, else after so many parts it
// rests: what lives long is passed by slowly, whatever there is of it.
constexpr size_t kPurgeRows = 500;
constexpr int kPurgeParts = 40;

Secret read_keys(const std::string& path) {
  if (const std::string complaint = check_private(path); !complaint.empty())
    throw std::runtime_error(complaint);
  auto text = read_file(path);
  if (!text) throw std::runtime_error(path + " cannot be read; `behalf init` makes one");
  return Secret(std::move(*text));
}

std::unique_ptr<store::Connector> connector_for(const Config& config) {
  return config.postgres.empty() ? store::sqlite_connector(config.sqlite)
                                 : store::postgres_connector(config.postgres);
}

}  // namespace

struct Runtime::Parts {
  Parts(const Config& from, Clock& clock, Random& random)
      : config(from),
        keys(read_keys(from.key_file)),
        store(connector_for(from),
              [](std::string_view bytes) { return std::string(as_text(crypto::sha256(bytes))); }),
        passwords(from.password_threads),
        limits(config.settings.limits, config.settings.pushed_request_lifetime,
               config.settings.interaction_lifetime, clock, random),
        services{config.settings, clock, random, store, keys, token_cache, verifying_keys, passwords, limits},
        transmitter(services),
        status_lists(services),
        assets(config.settings.issuer),
        templates(embedded_web(), assets.urls()),
        front_channel(services, templates),
        admin(services) {}

  const Config config;
  oauth::Keys keys;
  store::Store store;
  oauth::TokenCache token_cache;
  oauth::VerifyingKeys verifying_keys;
  oauth::PasswordPool passwords;
  oauth::Limits limits;
  oauth::Services services;
  oauth::Transmitter transmitter;
  oauth::StatusLists status_lists;
  Assets assets;
  console::Templates templates;
  console::FrontChannel front_channel;
  console::AdminApi admin;
};

Runtime::Runtime(const Config& config, Clock& clock, Random& random)
    : parts_(std::make_unique<Parts>(config, clock, random)) {
  std::vector<std::string> ids;
  for (const crypto::VerifyingKey& key : parts_->keys.verifying_keys()) ids.push_back(key.key_id());
  parts_->store.run([&](store::Transaction& transaction) { transaction.publish_keys(ids, clock.now()); });
}
Runtime::~Runtime() = default;

void Runtime::stop_waiting() { parts_->transmitter.close(); }

http::Handler Runtime::public_handler() {
  return make_public_handler(parts_->services, parts_->transmitter, parts_->status_lists,
                             parts_->front_channel, parts_->assets, parts_->config.listen);
}
http::Handler Runtime::admin_handler() {
  return [this](http::Request& request) { return parts_->admin.handle(request); };
}
oauth::Services& Runtime::services() { return parts_->services; }

bool Runtime::purge() {
  const UnixTime before = parts_->services.clock.now() - kKeepExpired;
  for (int part = 0; part < kPurgeParts; ++part) {
    size_t gone = 0;
    bool is_all = false;
    parts_->store.run([&](store::Transaction& transaction) {
      gone = std::max(transaction.purge(before, kPurgeRows),
                      transaction.purge_revocations(parts_->services.clock.now(), kPurgeRows));
      is_all = transaction.has_purged_all();
    });
    if (gone >= kPurgeRows / 8) return true;
    if (is_all) return false;
  }
  return false;
}

}  // namespace behalf::app
