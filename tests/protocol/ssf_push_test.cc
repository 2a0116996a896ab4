// RFC 8935: SETs pushed to a receiver, to hosts that the operator named and nowhere else; and what stands
// between tokens that name nobody and the feed that must end them.
#include <condition_variable>
#include <mutex>
#include <set>

#include "http/server.h"
#include "oauth/signals/push_target.h"
#include "oauth/signals/transmitter.h"
#include "protocol/ssf_receiver.h"

namespace behalf::test {
namespace {

using Names = std::vector<std::string>;

// A receiver's own server: notes what comes and answers as it is told.
class PushTarget {
 public:
  PushTarget() {
    http::Listen listen;
    listen.address = "127.0.0.1";
    server_ = std::make_unique<http::Server>(listen, http::Limits{}, 1U,
                                             [this](http::Request& request) { return take(request); });
  }
  std::string host() const { return "127.0.0.1:" + std::to_string(server_->port()); }
  std::string url() const { return "http://" + host() + "/events"; }
  void answer(int status, std::string body = {}) {
    const std::lock_guard lock(mutex_);
    status_ = status;
    body_ = std::move(body);
  }
  // Waits until so many requests have come; all of them.
  std::vector<http::Request> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return requests_.size() >= count; }))
        << requests_.size();
    return requests_;
  }
  size_t count() {
    const std::lock_guard lock(mutex_);
    return requests_.size();
  }

 private:
  Task<http::Response> take(http::Request& request) {
    http::Response response;
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    response.status = status_;
    response.body = body_;
    changed_.notify_all();
    co_return response;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<http::Request> requests_;
  int status_ = 202;
  std::string body_;
  std::unique_ptr<http::Server> server_;
};

struct PushWorld {
  PushTarget target;
  TestServer server;
  PushWorld() {
    server.configure([this](oauth::Settings& settings) { settings.push_hosts = {target.host()}; });
  }
  static std::string wish(const std::string& url,
                          const std::string& authorization = "Bearer of-the-receiver") {
    return R"({"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":")" + url +
           R"(","authorization_header":")" + authorization + "\"}}";
  }
};

TEST(SsfPush, carries_every_event_to_the_receiver) {  // RFC 8935 §2.1
  PushWorld world;
  SsfReceiver receiver(world.server);
  const Reply made = receiver.create(PushWorld::wish(world.target.url()));
  EXPECT_EQ(made.body.find("of-the-receiver"), std::string::npos) << "the secret is not shown again";
  EXPECT_EQ(text_at(*made.json.find("delivery"), "endpoint_url"), world.target.url());
  EXPECT_EQ(world.server.whole_audit_text().find("of-the-receiver"), std::string::npos);
  auto requests = world.target.wait_for(1);  // a3 was suspended before
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/events");
  EXPECT_EQ(*requests[0].headers.find("Content-Type"), "application/secevent+jwt");
  EXPECT_EQ(*requests[0].headers.find("Authorization"), "Bearer of-the-receiver");
  EXPECT_EQ(revoked_in(claims_of(requests[0].body)), "application a3");
  EXPECT_EQ(text_at(header_of(requests[0].body), "typ"), "secevent+jwt");
  world.server.suspend("agent", "a1");
  requests = world.target.wait_for(2);
  EXPECT_EQ(revoked_in(claims_of(requests[1].body)), "application a1");
  EXPECT_EQ(receiver.poll().status, 404) << "a stream that is pushed cannot be polled";
  EXPECT_EQ(receiver.call("POST", "/ssf/verify", R"({"stream_id":")" + receiver.stream + R"(","state":"s"})")
                .status,
            204);
  requests = world.target.wait_for(3);
  EXPECT_EQ(text_at(event_in(claims_of(requests[2].body)).second, "state"), "s");
}

TEST(SsfPush, tries_again_until_the_receiver_has_it_and_loses_nothing_at_a_restart) {  // RFC 8935 §2.4
  PushWorld world;
  world.target.answer(500);
  SsfReceiver receiver(world.server);
  receiver.create(PushWorld::wish(world.target.url()));
  const auto failed = world.target.wait_for(2);
  EXPECT_EQ(claims_of(failed[0].body), claims_of(failed[1].body)) << "the same event with the same jti";
  world.server.suspend("agent", "a1");
  world.server.restart();
  world.server.clock.advance(Seconds{30});  // the lease of the one that stopped
  world.target.answer(202);
  for (size_t wanted = 3;; ++wanted) {
    const auto requests = world.target.wait_for(wanted);
    if (revoked_in(claims_of(requests.back().body)) == "application a1" || wanted > 12) {
      EXPECT_EQ(revoked_in(claims_of(requests.back().body)), "application a1");
      break;
    }
  }
}

TEST(SsfPush, an_event_the_receiver_cannot_use_is_not_sent_again) {
  PushWorld world;
  world.target.answer(400, R"({"err":"invalid_key","description":"no"})");
  SsfReceiver receiver(world.server);
  receiver.create(PushWorld::wish(world.target.url()));
  world.target.wait_for(1);
  world.server.suspend("agent", "a1");
  const auto requests = world.target.wait_for(2);
  EXPECT_EQ(revoked_in(claims_of(requests[1].body)), "application a1");
}

TEST(SsfPush, nobody_makes_this_server_call_where_the_operator_did_not_say) {  // RFC 8935 §2
  PushWorld world;
  SsfReceiver receiver(world.server);
  for (const std::string& url :
       {std::string("https://receiver.example/"), std::string("http://127.0.0.1:1/"),
        std::string("http://169.254.169.254/latest"), "http://x@" + world.target.host() + "/",
        "http://" + world.target.host() + "@evil.example/", "https://" + world.target.host() + "#x",
        "ftp://" + world.target.host() + "/", std::string("file:///etc/passwd"), std::string("")}) {
    EXPECT_EQ(receiver.call("POST", "/ssf/streams", PushWorld::wish(url)).status, 400) << url;
  }
  EXPECT_EQ(receiver.call("POST", "/ssf/streams", PushWorld::wish(world.target.url(), "a\\r\\nX: y")).status,
            400);
  EXPECT_EQ(world.target.count(), 0U);
  TestServer closed;
  SsfReceiver other(closed);
  EXPECT_EQ(other.call("POST", "/ssf/streams", PushWorld::wish(world.target.url())).status, 400);
}

TEST(SsfPush, a_client_has_few_and_all_that_there_are_are_served) {
  PushWorld world;
  SsfReceiver receiver(world.server);
  for (size_t i = 0; i < oauth::Transmitter::kPushStreamsPerClient; ++i)
    receiver.create(PushWorld::wish(world.target.url()));
  const std::string pushed = receiver.stream;
  const Reply refused = receiver.call("POST", "/ssf/streams", PushWorld::wish(world.target.url()));
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(text_at(world.server.last_audit(), "reason"), "too_many_streams");
  receiver.create();
  json::Value change = json_of(PushWorld::wish(world.target.url()));
  change.set("stream_id", receiver.stream);
  EXPECT_EQ(receiver.call("PATCH", "/ssf/streams", json::write(change)).status, 409) << "nor by a change";
  change.set("stream_id", pushed);
  EXPECT_EQ(receiver.call("PATCH", "/ssf/streams", json::write(change)).status, 200)
      << "one of them stays one";

  // More of one client than there are threads, as an earlier release took them, and one of another's.
  constexpr size_t kMany = oauth::Pusher::kMostThreads * 2;
  world.server.services().store.run([&](store::Transaction& transaction) {
    for (size_t i = 0; i <= kMany; ++i) {
      SignalStream stream;
      stream.id = StreamId((i < kMany ? "made-" : "other-") + std::to_string(i));
      stream.client = ClientId(i < kMany ? std::string("m1") : std::string("ca"));
      stream.seen_at = world.server.clock.now();
      stream.cursor = transaction.last_revocation();
      stream.push_url = world.target.url() + "/" + stream.id.text();
      transaction.put_stream(stream);
    }
  });
  world.server.suspend("agent", "a1");
  json::Value touch;
  touch.set("stream_id", pushed);
  EXPECT_EQ(receiver.call("PATCH", "/ssf/streams", json::write(touch)).status, 200);  // looks at once
  std::set<std::string> told;
  for (size_t count = 1; told.size() <= kMany && count < 1000; ++count) {
    for (const http::Request& request : world.target.wait_for(count)) {
      if (request.path.starts_with("/events/")) told.insert(request.path);
    }
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_EQ(told.size(), kMany + 1);
}

TEST(SsfPush, hosts_are_compared_as_a_whole) {
  using oauth::may_push_to;
  const std::vector<std::string> hosts{"a.example", "b.example:8443", "127.0.0.1:9", "[::1]:9"};
  for (const char* url : {"https://a.example/x", "https://a.example:443/", "https://b.example:8443/",
                          "http://127.0.0.1:9/", "http://[::1]:9/"})
    EXPECT_TRUE(may_push_to(hosts, url)) << url;
  for (const char* url :
       {"http://a.example/", "https://a.example:444/", "https://b.example/", "https://a.example.evil/",
        "https://xa.example/", "https://127.0.0.1/", "http://127.0.0.1/", "https://u@a.example/",
        "https://a.example/#f", "a.example", ""})
    EXPECT_FALSE(may_push_to(hosts, url)) << url;
}

TEST(SsfKeys, a_signing_key_that_is_gone_at_a_start_is_revoked) {
  TestServer server;
  SsfReceiver receiver(server);
  receiver.create();
  receiver.drain();
  server.restart();
  EXPECT_EQ(receiver.drain().size(), 0U) << "the same keys as before";
  server.services().store.run([&](store::Transaction& transaction) {
    std::vector<std::string> ids{"stolen"};
    for (const auto& key : server.services().keys.verifying_keys()) ids.push_back(key.key_id());
    transaction.publish_keys(ids, server.clock.now());
  });
  EXPECT_EQ(receiver.drain().size(), 0U);
  server.restart();
  const auto sets = receiver.drain();
  ASSERT_EQ(revoked_in_all(sets), Names{"key stolen"});
  EXPECT_EQ(event_in(sets[0]).first, kKeyRevokedEvent);
}

TEST(SsfNames, a_resource_that_knows_people_by_names_of_its_own_is_told_of_its_tokens_and_not_of_names) {
  TestServer server;
  server.change("resources", kR2, "subject_type", "pairwise");
  server.change("resources", kM1, "subject_type", "pairwise");
  SsfReceiver receiver(server, "m1");
  receiver.create();
  receiver.drain();
  const std::string token = server.flow("ca", "a1", "r2.read", kR2).text("access_token");
  ASSERT_NE(text_at(claims_of(token), "sub"), "u1");
  const std::string other = server.flow("ca", "a1", "r2.read", kR2).text("access_token");
  server.admin("POST", "/grants/revoke",
               json_of(R"({"id":")" + text_at(claims_of(other), "grant_id") + "\"}"));
  auto sets = receiver.drain();
  ASSERT_EQ(sets.size(), 1U);
  EXPECT_EQ(sets[0].find("sub_id")->find("user"), nullptr)
      << "it would say who the person of that consent is";
  server.suspend("user", "u1");
  const Names told = revoked_in_all(receiver.drain());
  EXPECT_NE(std::find(told.begin(), told.end(), "token " + text_at(claims_of(token), "jti")), told.end());
}

}  // namespace
}  // namespace behalf::test
