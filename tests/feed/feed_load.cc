// How long a revocation takes to reach everybody: the packaged server with many live tokens in its store, a
// hundred receivers that poll as guards do, and every kind of revocation in turn. Prints one JSON line: from
// the moment a revocation was acknowledged to whoever revoked until each receiver had the SET, in
// milliseconds.
//
//   feed_load <behalf> [--tokens N] [--receivers N] [--rounds N] [--folder DIR]
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "app/config.h"
#include "base/bytes.h"
#include "base/file.h"
#include "behalf/feed.h"
#include "crypto/hash.h"
#include "crypto/jwt.h"
#include "http/client.h"
#include "oauth/keys.h"
#include "oauth/services.h"
#include "store/store.h"

namespace behalf::test {
namespace {

using Clock = std::chrono::steady_clock;
const std::string kApi = "https://api.example/feed";

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

struct Options {
  std::string binary;
  int tokens = 1'000'000;
  int receivers = 100;
  int rounds = 10;
  std::string folder = "/var/tmp";
};

// ---- The server ----

class Server {
 public:
  explicit Server(const Options& options) : binary_(options.binary) {
    std::string name = options.folder + "/feed-load-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) fail("cannot make " + name);
    folder = name;
    port = free_port();
    wait_for(spawn({"init", folder, "--port", std::to_string(port)}));
  }
  ~Server() {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  void start() {
    process_ = spawn({"serve", "--config", folder + "/behalf.toml"});
    for (int i = 0; i < 500; ++i) {
      try {
        if (http::fetch(issuer() + "/readyz", {}).status == 200) return;
      } catch (const std::exception&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
    fail("the server does not start");
  }
  void stop() {
    if (process_ <= 0) return;
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  std::string issuer() const { return "http://127.0.0.1:" + std::to_string(port); }
  http::Response admin(const std::string& path, const json::Value& body) {
    http::Target target;
    target.unix_path = folder + "/behalf.sock";
    http::Client client(target, Seconds{60});
    http::ClientRequest request;
    request.method = "POST";
    request.path_and_query = path;
    request.body = json::write(body);
    http::Response response = client.send(request);
    if (response.status != 200) fail(path + ": " + response.body);
    return response;
  }

  std::string folder;
  uint16_t port = 0;

 private:
  static uint16_t free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(socket);
    return ntohs(address.sin_port);
  }
  pid_t spawn(std::vector<std::string> words) const {
    words.insert(words.begin(), binary_);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      const int out = ::open((folder + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
      ::dup2(out, STDOUT_FILENO);
      ::dup2(out, STDERR_FILENO);
      ::execv(binary_.c_str(), arguments.data());
      ::_exit(127);
    }
    return child;
  }
  static void wait_for(pid_t child) {
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) < 0 || status != 0) fail("behalf failed");
  }

  std::string binary_;
  pid_t process_ = -1;
};

// ---- Who and what there is ----

std::string name_of(const char* kind, int number) { return kind + std::to_string(number); }

json::Value state_of_the_world(const Options& options) {
  const auto list = [](std::string_view item) { return json::Value::Array{json::Value(item)}; };
  json::Value::Array users;
  json::Value::Array agents;
  json::Value::Array clients;
  for (int i = 0; i < options.rounds; ++i) {
    json::Value user;
    user.set("id", name_of("user", i));
    user.set("display_name", "Somebody");
    users.push_back(std::move(user));
    json::Value agent;
    agent.set("id", name_of("agent", i));
    agent.set("name", "Agent");
    agent.set("publisher", "Publisher");
    agent.set("scopes", list("read"));
    agents.push_back(std::move(agent));
    json::Value client;
    client.set("id", name_of("client", i));
    client.set("name", "Client");
    client.set("grant_types", list("client_credentials"));
    client.set("scopes", list("read"));
    clients.push_back(std::move(client));
  }
  json::Value holder = clients.front();
  holder.set("id", "holder");
  clients.push_back(std::move(holder));
  for (int i = 0; i < options.receivers; ++i) {
    json::Value guard;
    guard.set("id", name_of("guard", i));
    guard.set("name", "Guard");
    guard.set("grant_types", list("client_credentials"));
    guard.set("scopes", list("behalf.signals"));
    clients.push_back(std::move(guard));
  }
  json::Value scope;
  scope.set("name", "read");
  scope.set("title", "Read");
  json::Value resource;
  resource.set("id", kApi);
  resource.set("name", "API");
  resource.set("scopes", json::Value::Array{std::move(scope)});
  json::Value state;
  state.set("users", std::move(users));
  state.set("agents", std::move(agents));
  state.set("clients", std::move(clients));
  state.set("resources", json::Value::Array{std::move(resource)});
  return state;
}

struct Prepared {
  std::vector<std::string> grants;
  std::vector<std::string> tokens;  // to be shown to /revoke
  std::vector<std::string> token_ids;
  std::vector<std::string> hops;         // with tokens below them
  std::vector<std::string> last_of_hop;  // the last id below it
};

Prepared fill(const Server& server, const Options& options) {
  Prepared prepared;
  crypto::SystemRandom random;
  const UnixTime now = SystemClock().now();
  const UnixTime end = UnixTime::from_seconds(now.seconds() + 3500);
  const oauth::Keys keys(Secret(*read_file(server.folder + "/behalf.keys")));
  store::Store store(store::sqlite_connector(server.folder + "/behalf.db"),
                     [](std::string_view bytes) { return std::string(as_text(crypto::sha256(bytes))); });
  const auto node_of = [&](int i) {
    Node node;
    node.id = node.root = NodeId(make_ordered_id(now, random));
    node.subject = {.kind = SubjectKind::kUser, .id = name_of("user", i % options.rounds), .epoch = 1};
    node.client = ClientId(name_of("client", i % options.rounds));
    node.chain.actors = {
        {.kind = ActorKind::kAgent, .id = name_of("agent", i % options.rounds), .epoch = 1, .instance = {}}};
    node.scope = ScopeSet{"read"};
    node.resource = ResourceId(kApi);
    node.issued_at = now;
    node.expires_at = end;
    return node;
  };
  const auto sign = [&](const Node& node) {
    std::string claims;
    json::ObjectWriter(claims)
        .add("iss", server.issuer())
        .add("sub", node.subject.id)
        .add("aud", kApi)
        .add("client_id", node.client.text())
        .add("iat", now.seconds())
        .add("exp", end.seconds())
        .add("jti", node.id.text())
        .end();
    return crypto::sign_jwt(keys.signing_key("ES256"), "at+jwt", claims);
  };
  store.run([&](store::Transaction& transaction) {
    for (int i = 0; i < options.rounds; ++i) {
      Grant grant;
      grant.id = GrantId(make_ordered_id(now, random));
      grant.user = UserId(std::string("somebody-else"));
      grant.client = ClientId(std::string("holder"));
      grant.created_at = now;
      grant.expires_at = now + Seconds{86400};
      transaction.insert_grant(grant);
      prepared.grants.push_back(grant.id.text());
      for (std::vector<std::string>* shown : {&prepared.tokens, &prepared.hops}) {
        Node node = node_of(i);
        node.subject = {.kind = SubjectKind::kClient, .id = "holder", .epoch = 1};
        node.client = ClientId(std::string("holder"));
        node.chain = {};
        transaction.insert_node(node);
        shown->push_back(sign(node));
        if (shown == &prepared.tokens) {
          prepared.token_ids.push_back(node.id.text());
          continue;
        }
        std::string last = node.id.text();
        for (int below = 0; below < 20; ++below) {
          Node child = node;
          child.id = NodeId(make_ordered_id(now, random));
          child.parent = node.id;
          last = std::max(last, child.id.text());
          transaction.insert_node(child);
        }
        prepared.last_of_hop.push_back(last);
      }
    }
  });
  // The rest, as agents at work leave it: tokens of a thousand lineages under as many grants, in no order,
  // each with its record in the log.
  constexpr int kBatch = 5000;
  constexpr size_t kLineages = 1000;
  std::vector<std::pair<NodeId, GrantId>> lineages;
  for (size_t i = 0; i < kLineages; ++i)
    lineages.emplace_back(make_ordered_id(now, random), make_ordered_id(now, random));
  AuditRecord record;
  record.event = "token.token-exchange";
  for (int done = 0; done < options.tokens; done += kBatch) {
    store.run([&](store::Transaction& transaction) {
      for (int i = done; i < std::min(done + kBatch, options.tokens); ++i) {
        Node node = node_of(i);
        const auto& [root, grant] = lineages[static_cast<size_t>(i) * 7919 % kLineages];
        node.root = node.parent = root;
        node.grant = grant;
        record.grant = grant.text();
        transaction.insert_node(std::move(node));
        transaction.append_audit(record, now);
      }
    });
  }
  return prepared;
}

// ---- Receivers ----

// Who has heard of what, when.
class Hearing {
 public:
  void heard(const std::string& id) {
    const std::lock_guard lock(mutex_);
    heard_[id].push_back(Clock::now());
    changed_.notify_all();
  }
  void ready() {
    const std::lock_guard lock(mutex_);
    ++ready_;
    changed_.notify_all();
  }
  void wait_until_ready(int receivers) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return ready_ >= receivers; }))
      fail("not every receiver is listening");
  }
  std::vector<Clock::time_point> wait_for(const std::string& id, int receivers) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(10),
                           [&] { return static_cast<int>(heard_[id].size()) >= receivers; }))
      fail("only " + std::to_string(heard_[id].size()) + " receivers have heard of " + id);
    return heard_[id];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::vector<Clock::time_point>> heard_;
  int ready_ = 0;
};

std::string text_at(const json::Value* value, std::string_view name) {
  const std::string* text = value == nullptr ? nullptr : value->find_string(name);
  return text == nullptr ? std::string{} : *text;
}

// The id that is revoked, as a verifier reads it.
std::string revoked_id(const std::string& token) {
  const auto jwt = crypto::EncodedJwt::parse(token);
  if (!jwt) fail("a SET is no JWT");
  const json::Value* subject = jwt->unproved_claims().find("sub_id");
  if (subject == nullptr) fail("a SET without sub_id");
  if (const json::Value* session = subject->find("session")) {
    const std::string jti = text_at(session, "jti");
    return jti.empty() ? text_at(session, "id") : jti;
  }
  for (const char* who : {"user", "application"}) {
    if (const json::Value* found = subject->find(who)) return text_at(found, "sub");
  }
  return {};
}

void receive(const Server& server, const std::string& client_id, const std::string& secret, Hearing& hearing,
             const std::atomic<bool>& stopping) {
  http::Client client(http::parse_url(server.issuer() + "/").target, Seconds{30});
  http::ClientRequest request;
  request.method = "POST";
  request.path_and_query = "/token";
  request.headers.set("Authorization", "Basic " + base64(client_id + ":" + secret));
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  request.body = http::write_form(
      {{"grant_type", "client_credentials"}, {"resource", server.issuer()}, {"scope", "behalf.signals"}});
  const auto answer = json::parse(client.send(request).body);
  request.headers.set("Authorization", "Bearer " + text_at(answer ? &*answer : nullptr, "access_token"));
  request.headers.set("Content-Type", "application/json");
  request.path_and_query = "/ssf/streams";
  request.body = "{}";
  const auto made = json::parse(client.send(request).body);
  request.path_and_query = "/ssf/poll?stream_id=" + text_at(made ? &*made : nullptr, "stream_id");
  request.body = R"({"returnImmediately":true})";
  bool is_ready = false;
  while (!stopping) {
    const http::Response response = client.send(request);
    const auto value = json::parse(response.body, {.bytes = 16 * 1024 * 1024, .depth = 16});
    const json::Value* sets = value ? value->find("sets") : nullptr;
    if (response.status != 200 || sets == nullptr) {
      if (stopping) return;
      fail("poll: " + std::to_string(response.status) + " " + response.body);
    }
    std::string acknowledged;
    for (const json::Member& set : *sets->object()) {
      hearing.heard(revoked_id(*set.value.string()));
      acknowledged += (acknowledged.empty() ? "\"" : ",\"") + set.name + "\"";
    }
    if (!is_ready && acknowledged.empty()) {
      is_ready = true;
      hearing.ready();
    }
    request.body = "{\"ack\":[" + acknowledged + "]" + (is_ready ? "" : ",\"returnImmediately\":true") + "}";
  }
}

void expect_known(const Server& server, const std::string& secret, const Prepared& prepared,
                  const Options& options) {
  sdk::Revocations revocations;
  sdk::KeySource::Options where;
  where.issuer = server.issuer();
  sdk::KeySource keys(where);
  sdk::Feed feed({.issuer = server.issuer(), .client_id = "guard0", .client_secret = secret}, revocations,
                 keys);
  if (!feed.wait_until_current(20'000)) fail("libbehalf cannot follow: " + feed.trouble());
  const auto expect = [&](const std::string& what, bool revoked,
                          const std::function<void(sdk::Delegation&)>& show) {
    sdk::Delegation delegation;
    delegation.issuer = server.issuer();
    delegation.subject = "nobody";
    delegation.client = "nothing";
    delegation.resource = kApi;
    delegation.token_id = "unknown";
    delegation.issued_at = 1;
    show(delegation);
    if (revocations.revokes(delegation) != revoked) fail("libbehalf is wrong about " + what);
  };
  expect("what nobody revoked", false, [](sdk::Delegation&) {});
  for (int i = 0; i < options.rounds; ++i) {
    const auto index = static_cast<size_t>(i);
    expect("a token", true, [&](sdk::Delegation& d) { d.token_id = prepared.token_ids[index]; });
    expect("a hop", true, [&](sdk::Delegation& d) { d.token_id = prepared.last_of_hop[index]; });
    expect("a grant", true, [&](sdk::Delegation& d) { d.grant = prepared.grants[index]; });
    expect("a person", true, [&](sdk::Delegation& d) { d.subject = name_of("user", i); });
    expect("a client", true, [&](sdk::Delegation& d) { d.client = name_of("client", i); });
    expect("a client above", true, [&](sdk::Delegation& d) { d.via = {name_of("client", i)}; });
    expect("an agent", true, [&](sdk::Delegation& d) {
      d.chain = {{.issuer = {}, .subject = "another", .profile = {}, .instance = {}},
                 {.issuer = {}, .subject = name_of("agent", i), .profile = {}, .instance = {}}};
    });
  }
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
}

int run(const Options& options) {
  Server server(options);
  server.start();
  const auto applied = json::parse(server.admin("/apply", state_of_the_world(options)).body,
                                   {.bytes = 16 * 1024 * 1024, .depth = 16});
  std::map<std::string, std::string> secrets;
  for (const json::Member& secret : *applied->find("secrets")->object())
    secrets[secret.name] = *secret.value.string();
  server.stop();
  std::fprintf(stderr, "filling the store with %d tokens\n", options.tokens);
  const Prepared prepared = fill(server, options);
  server.start();

  Hearing hearing;
  std::atomic<bool> stopping = false;
  std::vector<std::thread> receivers;
  for (int i = 0; i < options.receivers; ++i) {
    const std::string id = name_of("guard", i);
    receivers.emplace_back([&, id] { receive(server, id, secrets.at(id), hearing, stopping); });
  }
  hearing.wait_until_ready(options.receivers);
  std::fprintf(stderr, "%d receivers are listening\n", options.receivers);

  http::Client holder(http::parse_url(server.issuer() + "/").target, Seconds{30});
  const auto revoke_token = [&](const std::string& token) {
    http::ClientRequest request;
    request.method = "POST";
    request.path_and_query = "/revoke";
    request.headers.set("Authorization", "Basic " + base64("holder:" + secrets.at("holder")));
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.body = http::write_form({{"token", token}});
    if (holder.send(request).status != 200) fail("a token could not be revoked");
  };
  const auto by_admin = [&](const std::string& path, const std::string& id) {
    json::Value body;
    body.set("id", id);
    server.admin(path, body);
  };
  std::map<std::string, std::vector<double>> taken;
  std::map<std::string, std::vector<double>> answered;  // how long the revocation itself took
  std::vector<double> all;
  const auto measure = [&](const std::string& kind, const std::string& id,
                           const std::function<void()>& revoke) {
    const auto asked = Clock::now();
    revoke();
    const auto acknowledged = Clock::now();
    answered[kind].push_back(std::chrono::duration<double, std::milli>(acknowledged - asked).count());
    for (const auto heard : hearing.wait_for(id, options.receivers)) {
      const double after =
          std::max(0.0, std::chrono::duration<double, std::milli>(heard - acknowledged).count());
      taken[kind].push_back(after);
      all.push_back(after);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  };
  for (int i = 0; i < options.rounds; ++i) {
    const auto index = static_cast<size_t>(i);
    measure("token", prepared.token_ids[index], [&] { revoke_token(prepared.tokens[index]); });
    measure("hop", prepared.last_of_hop[index], [&] { revoke_token(prepared.hops[index]); });
    measure("grant", prepared.grants[index], [&] { by_admin("/grants/revoke", prepared.grants[index]); });
    measure("person", name_of("user", i), [&] { by_admin("/users/suspend", name_of("user", i)); });
    measure("agent", name_of("agent", i), [&] { by_admin("/agents/suspend", name_of("agent", i)); });
    measure("client", name_of("client", i), [&] { by_admin("/clients/suspend", name_of("client", i)); });
  }
  // And libbehalf, which begins only now, knows all of it.
  expect_known(server, secrets.at("guard0"), prepared, options);
  stopping = true;
  std::printf(
      "{\"name\":\"feed\",\"receivers\":%d,\"live_tokens\":%d,\"samples\":%zu,\"p50_ms\":%.2f,\"p99_ms\":%."
      "2f,\"max_ms\":%.2f",
      options.receivers, options.tokens, all.size(), percentile(all, 0.5), percentile(all, 0.99),
      percentile(all, 1));
  for (const auto& [kind, values] : taken)
    std::printf(",\"%s_p99_ms\":%.2f", kind.c_str(), percentile(values, 0.99));
  double slowest = 0;
  for (const auto& [kind, values] : answered) {
    std::printf(",\"%s_answered_ms\":%.2f", kind.c_str(), percentile(values, 1));
    slowest = std::max(slowest, percentile(values, 1));
  }
  std::printf("}\n");
  std::fflush(stdout);
  for (std::thread& receiver : receivers) receiver.join();  // their polls end within five seconds
  return percentile(all, 0.99) <= 100 && slowest <= 100 ? 0 : 1;
}

}  // namespace
}  // namespace behalf::test

int main(int argc, char** argv) {
  behalf::test::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--")) {
      options.binary = word;
      continue;
    }
    if (i + 1 >= argc) return 2;
    const std::string value = argv[++i];
    if (word == "--tokens")
      options.tokens = std::stoi(value);
    else if (word == "--receivers")
      options.receivers = std::stoi(value);
    else if (word == "--rounds")
      options.rounds = std::stoi(value);
    else if (word == "--folder")
      options.folder = value;
    else
      return 2;
  }
  try {
    return behalf::test::run(options);
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "feed_load: %s\n", fault.what());
    return 1;
  }
}
