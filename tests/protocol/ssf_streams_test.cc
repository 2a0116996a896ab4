// SSF 1.0 §7 and §8.1: discovery, streams, their status and verification.
#include "oauth/signals/transmitter.h"
#include "protocol/ssf_receiver.h"

namespace behalf::test {
namespace {

using Names = std::vector<std::string>;

TEST(SsfStreams, the_configuration_names_what_there_is) {
  TestServer server;
  const Reply reply = server.get("/.well-known/ssf-configuration");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.text("spec_version"), "1_0");
  EXPECT_EQ(reply.text("issuer"), kIssuer);
  EXPECT_EQ(reply.text("jwks_uri"), kIssuer + "/jwks");
  EXPECT_EQ(reply.text("configuration_endpoint"), kIssuer + "/ssf/streams");
  EXPECT_EQ(reply.text("status_endpoint"), kIssuer + "/ssf/status");
  EXPECT_EQ(reply.text("verification_endpoint"), kIssuer + "/ssf/verify");
  EXPECT_EQ(reply.text("default_subjects"), "ALL");
  EXPECT_EQ(json::write(*reply.json.find("delivery_methods_supported")), "[\"" + kPollMethod + "\"]")
      << "nothing is pushed where no host is allowed";
  EXPECT_EQ(json::write(*reply.json.find("authorization_schemes")), R"([{"spec_urn":"urn:ietf:rfc:6749"}])");
}

TEST(SsfStreams, an_issuer_with_a_path_has_its_configuration_at_the_end_of_the_well_known_one) {
  TestServer server;
  server.configure([](oauth::Settings& settings) { settings.issuer = "https://as.example/tenant"; });
  const Reply reply = server.get("/.well-known/ssf-configuration/tenant");
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.text("issuer"), "https://as.example/tenant");
  EXPECT_EQ(server.get("/.well-known/ssf-configuration").status, 404);
}

TEST(SsfStreams, are_made_read_changed_replaced_and_removed) {
  TestServer server;
  SsfReceiver receiver(server);
  const Reply made = receiver.create(R"({"description":"first","delivery":{"method":"urn:ietf:rfc:8936"}})");
  EXPECT_EQ(made.text("iss"), kIssuer);
  EXPECT_EQ(made.text("aud"), "m1");
  EXPECT_EQ(made.text("description"), "first");
  EXPECT_EQ(text_at(*made.json.find("delivery"), "endpoint_url"),
            kIssuer + "/ssf/poll?stream_id=" + receiver.stream);
  EXPECT_EQ(made.json.find("events_delivered")->array()->size(), 3U);
  EXPECT_EQ(made.json.find_integer("inactivity_timeout"), 3600);
  const std::string path = "/ssf/streams?stream_id=" + receiver.stream;
  EXPECT_EQ(receiver.call("GET", path).json, made.json);
  EXPECT_EQ(receiver.call("GET", "/ssf/streams").json.array()->size(), 1U);

  const std::string id = R"("stream_id":")" + receiver.stream + "\"";
  Reply changed = receiver.call("PATCH", "/ssf/streams",
                                "{" + id + R"(,"events_requested":[")" + kSessionRevokedEvent + R"(","x"]})");
  EXPECT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(changed.text("description"), "first") << "what is left out stays";
  EXPECT_EQ(changed.json.find("events_requested")->array()->size(), 2U);
  EXPECT_EQ(json::write(*changed.json.find("events_delivered")), "[\"" + kSessionRevokedEvent + "\"]");
  changed = receiver.call("PUT", "/ssf/streams", "{" + id + R"(,"iss":"https://as.example","aud":"m1"})");
  EXPECT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(changed.text("description"), "") << "what is left out goes";
  EXPECT_EQ(changed.json.find("events_delivered")->array()->size(), 3U);

  EXPECT_EQ(receiver.call("DELETE", path).status, 204);
  EXPECT_EQ(receiver.call("DELETE", path).status, 404);
  EXPECT_EQ(receiver.call("GET", path).status, 404);
  EXPECT_EQ(receiver.poll().status, 404);
  EXPECT_EQ(receiver.call("PATCH", "/ssf/streams", "{" + id + "}").status, 404);
  EXPECT_EQ(server.last_audit().find_string("event") != nullptr, true);
}

TEST(SsfStreams, nonsense_makes_none) {
  TestServer server;
  SsfReceiver receiver(server);
  for (const char* body :
       {"[]", "{", R"({"delivery":"poll"})", R"({"delivery":{"method":"smoke"}})", R"({"description":7})",
        R"({"events_requested":"x"})", R"({"events_requested":[7]})", R"({"iss":"https://other.example"})",
        R"({"aud":"other"})", R"({"delivery":{"method":"urn:ietf:rfc:8935"}})",
        R"({"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://receiver.example/"}})"}) {
    const Reply reply = receiver.call("POST", "/ssf/streams", body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
  }
  EXPECT_EQ(receiver.call("GET", "/ssf/streams").json.array()->size(), 0U);
  EXPECT_EQ(receiver.call("PATCH", "/ssf/streams", "{}").status, 400);
}

TEST(SsfStreams, belong_to_the_client_that_made_them) {
  TestServer server;
  SsfReceiver owner(server);
  owner.create();
  SsfReceiver stranger(server, "ca");
  const std::string query = "?stream_id=" + owner.stream;
  const std::string body = R"({"stream_id":")" + owner.stream + R"(","status":"disabled"})";
  EXPECT_EQ(stranger.call("GET", "/ssf/streams" + query).status, 404);
  EXPECT_EQ(stranger.call("GET", "/ssf/streams").json.array()->size(), 0U);
  EXPECT_EQ(stranger.call("PATCH", "/ssf/streams", body).status, 404);
  EXPECT_EQ(stranger.call("PUT", "/ssf/streams", body).status, 404);
  EXPECT_EQ(stranger.call("DELETE", "/ssf/streams" + query).status, 404);
  EXPECT_EQ(stranger.call("GET", "/ssf/status" + query).status, 404);
  EXPECT_EQ(stranger.call("POST", "/ssf/status", body).status, 404);
  EXPECT_EQ(stranger.call("POST", "/ssf/verify", body).status, 404);
  EXPECT_EQ(owner.call("GET", "/ssf/status" + query).text("status"), "enabled");
}

TEST(SsfStreams, need_a_token_for_them) {
  TestServer server;
  SsfReceiver receiver(server);
  const std::string for_api = server.flow("ca", "a1", "r1.read").text("access_token");
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"POST", "/ssf/streams"},
                                                        {"GET", "/ssf/streams"},
                                                        {"PATCH", "/ssf/streams"},
                                                        {"PUT", "/ssf/streams"},
                                                        {"DELETE", "/ssf/streams?stream_id=x"},
                                                        {"GET", "/ssf/status?stream_id=x"},
                                                        {"POST", "/ssf/status"},
                                                        {"POST", "/ssf/verify"}}) {
    const Reply bare = server.send({.method = method, .path_and_query = path, .headers = {}, .body = {}});
    EXPECT_EQ(bare.status, 401) << method << path;
    EXPECT_NE(bare.header("WWW-Authenticate").find("Bearer"), std::string::npos);
    EXPECT_EQ(receiver.call(method, path, {}, for_api).status, 401) << method << path;
  }
}

TEST(SsfStreams, paused_keeps_what_happens_and_disabled_drops_it) {
  TestServer server;
  SsfReceiver receiver(server);
  receiver.create();
  receiver.drain();
  const auto set = [&](const std::string& status) {
    const Reply reply = receiver.call(
        "POST", "/ssf/status",
        R"({"stream_id":")" + receiver.stream + R"(","status":")" + status + R"(","reason":"why"})");
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.text("status"), status);
    EXPECT_EQ(receiver.call("GET", "/ssf/status?stream_id=" + receiver.stream).text("reason"), "why");
  };
  set("paused");
  server.suspend("agent", "a1");
  const Reply quiet = receiver.poll();
  EXPECT_EQ(SsfReceiver::sets_of(quiet).size(), 0U);
  EXPECT_TRUE(SsfReceiver::has_more(quiet)) << "silence of a paused stream is no knowledge";
  set("enabled");
  EXPECT_EQ(revoked_in_all(receiver.drain()), Names{"application a1"});
  set("disabled");
  server.suspend("agent", "a2");
  EXPECT_TRUE(SsfReceiver::has_more(receiver.poll()));
  server.suspend("agent", "a4");
  set("enabled");
  EXPECT_EQ(receiver.drain().size(), 0U);
  server.suspend("agent", "a5");
  EXPECT_EQ(revoked_in_all(receiver.drain()), Names{"application a5"});
  EXPECT_EQ(
      receiver.call("POST", "/ssf/status", R"({"stream_id":")" + receiver.stream + R"(","status":"on"})")
          .status,
      400);
}

TEST(SsfStreams, a_verification_comes_once_with_its_state_and_not_too_often) {
  TestServer server;
  SsfReceiver receiver(server);
  receiver.create();
  receiver.drain();
  const std::string body = R"({"stream_id":")" + receiver.stream + R"(","state":"my state"})";
  EXPECT_EQ(receiver.call("POST", "/ssf/verify", body).status, 204);
  const Reply again = receiver.call("POST", "/ssf/verify", body);
  EXPECT_EQ(again.status, 429);
  EXPECT_FALSE(again.header("Retry-After").empty());
  const auto sets = SsfReceiver::sets_of(receiver.poll());
  ASSERT_EQ(sets.size(), 1U);
  const auto [event, content] = event_in(sets[0]);
  EXPECT_EQ(event, kVerificationEvent);
  EXPECT_EQ(text_at(content, "state"), "my state");
  EXPECT_EQ(text_at(*sets[0].find("sub_id"), "id"), receiver.stream);
  EXPECT_EQ(SsfReceiver::sets_of(receiver.poll()), sets) << "until it is acknowledged";
  EXPECT_EQ(SsfReceiver::sets_of(receiver.poll(SsfReceiver::acknowledgement(sets))).size(), 0U);
  server.clock.advance(Seconds{11});
  EXPECT_EQ(receiver.call("POST", "/ssf/verify", body).status, 204);
}

TEST(SsfStreams, one_that_nobody_polls_for_an_hour_is_gone) {
  TestServer server;
  SsfReceiver receiver(server);
  receiver.create();
  server.clock.advance(Seconds{3590});
  SsfReceiver fresh(server);  // with a token that is not too old
  fresh.stream = receiver.stream;
  EXPECT_EQ(fresh.poll().status, 200);
  server.clock.advance(Seconds{3590});
  SsfReceiver again(server);
  again.stream = receiver.stream;
  EXPECT_EQ(again.poll().status, 200) << "that it was polled counts";
  server.clock.advance(Seconds{3601});
  SsfReceiver late(server);
  late.stream = receiver.stream;
  EXPECT_EQ(late.poll().status, 404);
  EXPECT_EQ(late.call("GET", "/ssf/streams").json.array()->size(), 0U);
}

TEST(SsfStreams, a_client_has_so_many_and_the_longest_idle_makes_room) {
  TestServer server;
  SsfReceiver receiver(server);
  receiver.create();
  const std::string first = receiver.stream;
  server.services().store.run([&](store::Transaction& transaction) {
    for (size_t i = 1; i < oauth::Transmitter::kStreamsPerClient; ++i) {
      SignalStream stream;
      stream.id = StreamId("made-" + std::to_string(i));
      stream.client = ClientId(std::string("m1"));
      stream.seen_at = server.clock.now();
      transaction.put_stream(stream);
    }
  });
  EXPECT_EQ(receiver.call("POST", "/ssf/streams", "{}").status, 409) << "all of them are in use";
  server.clock.advance(Seconds{61});
  receiver.stream = "made-1";
  EXPECT_EQ(receiver.poll().status, 200);
  receiver.create();
  EXPECT_EQ(receiver.poll().status, 200);
  receiver.stream = "made-1";
  EXPECT_EQ(receiver.poll().status, 200) << "that one is in use";
  EXPECT_EQ(receiver.call("GET", "/ssf/streams").json.array()->size(), oauth::Transmitter::kStreamsPerClient);
}

}  // namespace
}  // namespace behalf::test
