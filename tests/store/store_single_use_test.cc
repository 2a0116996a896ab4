// Single-use things, requests and sessions: the first call's promise, the second call's answer, and what a
// purge leaves.
#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::ReadTransaction;
using store::RotatedRefresh;
using store::SpentCode;
using store::Transaction;

class SingleUseStore : public StoreContract {
 protected:
  SpentCode spend(const std::string& id, const std::string& hash, UnixTime now = kNow) {
    SpentCode result;
    run([&](Transaction& transaction) { result = transaction.spend_code(NodeId(id), hash, now); });
    return result;
  }
  RotatedRefresh rotate(const std::string& id, const std::string& hash, const std::string& successor,
                        UnixTime now = kNow) {
    RotatedRefresh result;
    run([&](Transaction& transaction) {
      result = transaction.rotate_refresh_token(NodeId(id), hash, NodeId(successor), now);
    });
    return result;
  }
  bool remember(const std::string& issuer, const std::string& jti, UnixTime expires_at = kNow) {
    bool first = false;
    run([&](Transaction& transaction) { first = transaction.remember_jti(issuer, jti, expires_at); });
    return first;
  }
  size_t purge(UnixTime before, size_t limit) {
    size_t gone = 0;
    run([&](Transaction& transaction) { gone = transaction.purge(before, limit); });
    return gone;
  }
  std::optional<AuthorizationRequest> request(const std::string& id) {
    return ask_reader([&](ReadTransaction& transaction) { return transaction.find_request(RequestId(id)); });
  }
  bool bind(const std::string& id, const std::string& browser) {
    bool bound = false;
    run([&](Transaction& transaction) { bound = transaction.bind_request(RequestId(id), browser); });
    return bound;
  }
  bool complete(const std::string& id, UnixTime now = kNow) {
    bool first = false;
    run([&](Transaction& transaction) { first = transaction.complete_request(RequestId(id), now); });
    return first;
  }
  std::optional<Session> session(const std::string& id) {
    return ask_reader([&](ReadTransaction& transaction) { return transaction.find_session(SessionId(id)); });
  }
};
INSTANTIATE_TEST_SUITE_P(Store, SingleUseStore, testing::Values(Kind::sqlite, Kind::postgres), name_of);

TEST_P(SingleUseStore, ACodeIsSpentOnce) {
  run([](Transaction& transaction) {
    transaction.insert_node(make_code("code"));
    transaction.insert_node(make_refresh("refresh"));
  });
  EXPECT_EQ(spend("code", "hash-of-another").outcome, SpentCode::Outcome::kUnknown);
  EXPECT_EQ(spend("code", "HASH-OF-CODE").outcome, SpentCode::Outcome::kUnknown);
  EXPECT_EQ(spend("code", "").outcome, SpentCode::Outcome::kUnknown);
  EXPECT_EQ(spend("other", "hash-of-code").outcome, SpentCode::Outcome::kUnknown);
  EXPECT_EQ(spend("refresh", "hash-of-refresh").outcome, SpentCode::Outcome::kUnknown)
      << "another kind is no code";
  EXPECT_EQ(spend("other", "hash-of-code").node, nullptr);
  EXPECT_EQ(node("code")->spent_at, std::nullopt) << "a wrong guess spends nothing";
  EXPECT_EQ(node("refresh")->spent_at, std::nullopt);

  const SpentCode first = spend("code", "hash-of-code");
  EXPECT_EQ(first.outcome, SpentCode::Outcome::kSpent);
  ASSERT_TRUE(first.node);
  EXPECT_EQ(first.node->id.text(), "code");
  for (int round = 0; round < 2; ++round) {
    const SpentCode again = spend("code", "hash-of-code", kNow + Seconds{1});
    EXPECT_EQ(again.outcome, SpentCode::Outcome::kAlreadySpent);
    ASSERT_TRUE(again.node);
    EXPECT_EQ(again.node->spent_at, kNow) << "when it was spent first";
    EXPECT_EQ(spend("code", "hash-of-another").outcome, SpentCode::Outcome::kUnknown);
    reopen();
  }
}

TEST_P(SingleUseStore, ACodeSpentByAWorkThatFailsIsNotSpent) {
  run([](Transaction& transaction) { transaction.insert_node(make_code("code")); });
  EXPECT_THROW(run([](Transaction& transaction) {
                 EXPECT_EQ(transaction.spend_code(NodeId("code"s), "hash-of-code", kNow).outcome,
                           SpentCode::Outcome::kSpent);
                 EXPECT_EQ(transaction.spend_code(NodeId("code"s), "hash-of-code", kNow).outcome,
                           SpentCode::Outcome::kAlreadySpent);
                 throw std::runtime_error("a fault");
               }),
               std::runtime_error);
  EXPECT_EQ(spend("code", "hash-of-code").outcome, SpentCode::Outcome::kSpent);
}

TEST_P(SingleUseStore, ARefreshTokenIsRotatedOnceAndKeepsItsSuccessor) {
  run([](Transaction& transaction) {
    transaction.insert_node(make_code("code"));
    transaction.insert_node(make_refresh("refresh"));
  });
  EXPECT_EQ(rotate("refresh", "hash-of-another", "s").outcome, RotatedRefresh::Outcome::kUnknown);
  EXPECT_EQ(rotate("refresh", "", "s").outcome, RotatedRefresh::Outcome::kUnknown);
  EXPECT_EQ(rotate("other", "hash-of-refresh", "s").outcome, RotatedRefresh::Outcome::kUnknown);
  EXPECT_EQ(rotate("other", "hash-of-refresh", "s").node, std::nullopt);
  EXPECT_EQ(rotate("code", "hash-of-code", "s").outcome, RotatedRefresh::Outcome::kUnknown);
  EXPECT_EQ(node("refresh")->spent_at, std::nullopt);

  const RotatedRefresh first = rotate("refresh", "hash-of-refresh", "successor-1");
  EXPECT_EQ(first.outcome, RotatedRefresh::Outcome::kRotated);
  ASSERT_TRUE(first.node);
  EXPECT_EQ(first.node->spent_at, std::nullopt) << "as it was before the call";
  EXPECT_TRUE(first.node->successor.empty());
  for (int round = 0; round < 2; ++round) {
    const RotatedRefresh again = rotate("refresh", "hash-of-refresh", "successor-2", kNow + Seconds{1});
    EXPECT_EQ(again.outcome, RotatedRefresh::Outcome::kAlreadyRotated);
    ASSERT_TRUE(again.node);
    EXPECT_EQ(again.node->spent_at, kNow);
    EXPECT_EQ(again.node->successor.text(), "successor-1") << "an honest retry finds what it was given";
    EXPECT_EQ(rotate("refresh", "hash-of-another", "s").outcome, RotatedRefresh::Outcome::kUnknown);
    reopen();
  }
}

TEST_P(SingleUseStore, AnAssertionIsRememberedOncePerIssuer) {
  EXPECT_TRUE(remember("issuer", "jti"));
  EXPECT_FALSE(remember("issuer", "jti"));
  EXPECT_FALSE(remember("issuer", "jti", kNow + Seconds{600})) << "a later end makes it no other";
  EXPECT_TRUE(remember("issuer", "JTI"));
  EXPECT_TRUE(remember("Issuer", "jti"));
  EXPECT_TRUE(remember("issue", "rjti")) << "the two do not run together";
  EXPECT_TRUE(remember(kHostile, kHostile));
  EXPECT_FALSE(remember(kHostile, kHostile));
  reopen();
  EXPECT_FALSE(remember("issuer", "jti"));
  EXPECT_FALSE(remember(kHostile, kHostile));
  EXPECT_GT(purge({kNow.milliseconds + 1}, 100), 0U);
  EXPECT_TRUE(remember("issuer", "jti")) << "forgotten once its end has passed";
  EXPECT_FALSE(remember("issuer", "jti"));
}

TEST_P(SingleUseStore, ARequestComesBackInEveryMember) {
  AuthorizationRequest wanted = make_request("r", "browser");
  wanted.secret_hash = "secret";
  wanted.client_epoch = kMost;
  wanted.agent = AgentId(kHostile);
  wanted.agent_was_requested = true;
  wanted.redirect_uri = kHostile;
  wanted.response_mode = ResponseMode::kFormPost;
  wanted.state = kHostile;
  wanted.scopes = {"a", "b"};
  wanted.offline = true;
  wanted.resources = {ResourceId(kHostile), ResourceId("r2"s)};
  wanted.prompt = {.none = true, .login = true, .consent = true, .select_account = true};
  wanted.max_age = Seconds{0};
  wanted.acr_values = kHostile;
  wanted.login_hint = kHostile;
  wanted.essential_acrs = kHostile;
  wanted.expires_at = {kMost};
  const AuthorizationRequest bare = make_request("bare");
  run([&](Transaction& transaction) {
    transaction.insert_request(wanted);
    transaction.insert_request(bare);
  });
  for (int round = 0; round < 2; ++round) {
    const auto each = request("r");
    ASSERT_TRUE(each);
    const AuthorizationRequest& found = *each;
#define SAME(member) EXPECT_EQ(found.member, wanted.member)
    SAME(id);
    SAME(secret_hash);
    SAME(browser_hash);
    SAME(client);
    SAME(client_epoch);
    SAME(agent);
    SAME(agent_was_requested);
    SAME(redirect_uri);
    SAME(response_mode);
    SAME(state);
    SAME(code_challenge);
    SAME(scopes);
    SAME(offline);
    SAME(resources);
    SAME(prompt.none);
    SAME(prompt.login);
    SAME(prompt.consent);
    SAME(prompt.select_account);
    SAME(max_age);
    SAME(acr_values);
    SAME(login_hint);
    SAME(essential_acrs);
    SAME(created_at);
    SAME(expires_at);
    SAME(completed_at);
    EXPECT_EQ(request("bare")->state, std::nullopt) << "no state is not an empty one";
    EXPECT_EQ(request("bare")->max_age, std::nullopt) << "no max_age is not zero";
    EXPECT_FALSE(request("bare")->prompt.none || request("bare")->offline ||
                 request("bare")->agent_was_requested);
    EXPECT_EQ(request("R"), std::nullopt);
    reopen();
  }
}

TEST_P(SingleUseStore, ARequestIsBoundToOneBrowser) {
  run([](Transaction& transaction) {
    transaction.insert_request(make_request("pushed"));
    transaction.insert_request(make_request("direct", "mine"));
  });
  EXPECT_FALSE(bind("unknown", "mine"));
  EXPECT_TRUE(bind("pushed", "mine"));
  EXPECT_TRUE(bind("pushed", "mine")) << "a reload is no second browser";
  EXPECT_FALSE(bind("pushed", "theirs"));
  EXPECT_FALSE(bind("direct", "theirs"));
  EXPECT_TRUE(bind("direct", "mine"));
  reopen();
  EXPECT_FALSE(bind("pushed", "theirs"));
  EXPECT_EQ(request("pushed")->browser_hash, "mine");
  EXPECT_TRUE(complete("pushed"));
  EXPECT_FALSE(bind("pushed", "mine")) << "what is completed is not opened again";
}

TEST_P(SingleUseStore, ARequestIsCompletedOnce) {
  run([](Transaction& transaction) { transaction.insert_request(make_request("r", "mine")); });
  EXPECT_FALSE(complete("unknown"));
  EXPECT_EQ(request("r")->completed_at, std::nullopt);
  EXPECT_TRUE(complete("r"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_FALSE(complete("r", kNow + Seconds{1}));
    EXPECT_EQ(request("r")->completed_at, kNow);
    reopen();
  }
}

TEST_P(SingleUseStore, ASessionLivesUntilItIsEnded) {
  Session wanted = make_session("s", kHostile);
  wanted.user_epoch = kMost;
  wanted.sign_in = {.auth_time = {kMost}, .acr = kHostile, .amr = "pwd"};
  wanted.expires_at = {kMost};
  run([&](Transaction& transaction) { transaction.insert_session(wanted); });
  for (int round = 0; round < 2; ++round) {
    const auto each = session("s");
    ASSERT_TRUE(each);
    const Session& found = *each;
    SAME(id);
    SAME(secret_hash);
    SAME(user);
    SAME(user_epoch);
    SAME(sign_in);
    SAME(created_at);
    SAME(last_seen_at);
    SAME(expires_at);
    SAME(ended_at);
    EXPECT_EQ(session("S"), std::nullopt);
    reopen();
  }
  run([](Transaction& transaction) {
    transaction.touch_session(SessionId("s"s), kNow + Seconds{5});
    transaction.touch_session(SessionId("unknown"s), kNow + Seconds{5});
  });
  EXPECT_EQ(session("s")->last_seen_at, kNow + Seconds{5});
  run([](Transaction& transaction) {
    EXPECT_FALSE(transaction.end_session(SessionId("unknown"s), kNow));
    EXPECT_TRUE(transaction.end_session(SessionId("s"s), kNow));
    EXPECT_FALSE(transaction.end_session(SessionId("s"s), kNow + Seconds{1}));
    transaction.touch_session(SessionId("s"s), kNow + Seconds{9});
  });
  EXPECT_EQ(session("s")->ended_at, kNow);
  EXPECT_EQ(session("s")->last_seen_at, kNow + Seconds{5}) << "an ended session is not seen again";
}

TEST_P(SingleUseStore, ThePersonsSessionsEndTogether) {
  run([](Transaction& transaction) {
    for (const char* id : {"1", "2", "3"}) transaction.insert_session(make_session(id, "u"));
    transaction.insert_session(make_session("4", "U"));
    EXPECT_TRUE(transaction.end_session(SessionId("3"s), kNow));
    EXPECT_EQ(transaction.end_user_sessions(UserId("u"s), kNow + Seconds{1}), 2U);
    EXPECT_EQ(transaction.end_user_sessions(UserId("u"s), kNow + Seconds{2}), 0U);
    EXPECT_EQ(transaction.end_user_sessions(UserId("unknown"s), kNow), 0U);
  });
  reopen();
  EXPECT_EQ(session("1")->ended_at, kNow + Seconds{1});
  EXPECT_EQ(session("2")->ended_at, kNow + Seconds{1});
  EXPECT_EQ(session("3")->ended_at, kNow);
  EXPECT_EQ(session("4")->ended_at, std::nullopt);
}

TEST_P(SingleUseStore, APurgeIsBoundedAndLeavesWhatLives) {  // 319
  const UnixTime past = kNow - Seconds{1};
  run([&](Transaction& transaction) {
    for (int i = 0; i < 10; ++i) {
      const std::string id = std::to_string(i);
      AuthorizationRequest request = make_request(id);
      Session session = make_session(id);
      Node node = make_node(id);
      request.expires_at = session.expires_at = node.expires_at = i < 8 ? past : kNow;
      transaction.insert_request(request);
      transaction.insert_session(session);
      transaction.insert_node(node);
      EXPECT_TRUE(transaction.remember_jti("issuer", id, i < 8 ? past : kNow));
    }
    transaction.insert_grant(make_grant("g"));
    EXPECT_TRUE(transaction.put_user(make_user("u", "u"), kNow));
    transaction.append_audit(make_record("event"), past);
  });
  size_t gone = 0;
  int calls = 0;
  for (;;) {
    const size_t now_gone = purge(kNow, 3);
    if (now_gone == 0) break;
    EXPECT_LE(now_gone, 4U * 3U) << "at most `limit` of each kind";
    gone += now_gone;
    ASSERT_LT(++calls, 20);
  }
  EXPECT_EQ(gone, 4U * 8U);
  EXPECT_GE(calls, 3);
  reopen();
  for (int i = 0; i < 10; ++i) {
    const std::string id = std::to_string(i);
    const bool lives = i >= 8;
    EXPECT_EQ(request(id).has_value(), lives) << id;
    EXPECT_EQ(session(id).has_value(), lives) << id;
    EXPECT_EQ(node(id) != nullptr, lives) << id;
    EXPECT_EQ(remember("issuer", id), !lives) << id;
  }
  EXPECT_TRUE(ask_reader(
      [](ReadTransaction& transaction) { return transaction.find_grant(GrantId("g"s)) != nullptr; }));
  EXPECT_TRUE(ask_reader(
      [](ReadTransaction& transaction) { return transaction.find_user(UserId("u"s)) != nullptr; }));
  EXPECT_EQ(verified_length(whole_log(store())), 1) << "the log is not purged";
}

// One call looks at so many rows, whatever lives; and comes by everything that is over in the end.
TEST_P(SingleUseStore, APurgeLooksAtAPartAndComesRound) {
  constexpr int kRows = 100;
  constexpr size_t kPart = 7;
  const auto is_over = [](int i) { return i % 10 == 9; };
  const auto id = [](int i) { return std::to_string(1000 + i); };
  run([&](Transaction& transaction) {
    for (int i = 0; i < kRows; ++i) {
      const UnixTime expires_at = is_over(i) ? UnixTime{kNow.milliseconds - 1} : kNow + Seconds{3600};
      Node old = make_node(id(i));
      old.issued_at = UnixTime{kNow.milliseconds - 5000};
      old.expires_at = expires_at;
      transaction.insert_node(old);
      AuthorizationRequest request = make_request(id(i));
      request.expires_at = expires_at;
      transaction.insert_request(request);
      Session session = make_session(id(i));
      session.expires_at = expires_at;
      transaction.insert_session(session);
    }
    Node young = make_node("2000");
    young.issued_at = kNow;
    transaction.insert_node(young);
    Node behind = make_node("2001");  // written by a clock that was ahead
    behind.issued_at = UnixTime{kNow.milliseconds - 5000};
    behind.expires_at = UnixTime{kNow.milliseconds - 1};
    transaction.insert_node(behind);
  });
  size_t gone = 0;
  for (int part = 0; part < 2 * kRows / static_cast<int>(kPart) + 2; ++part) {
    const size_t now_gone = purge(kNow, kPart);
    EXPECT_LE(now_gone, 3 * 1U + 1U) << "of seven rows of each kind";
    gone += now_gone;
  }
  EXPECT_EQ(gone, 3U * kRows / 10U + 1U);
  for (int i = 0; i < kRows; ++i) {
    EXPECT_EQ(node(id(i)) != nullptr, !is_over(i)) << i;
    EXPECT_EQ(request(id(i)).has_value(), !is_over(i)) << i;
    EXPECT_EQ(session(id(i)).has_value(), !is_over(i)) << i;
  }
  EXPECT_NE(node("2000"), nullptr);
  EXPECT_EQ(node("2001"), nullptr);
  // What becomes old later is found by a later round.
  for (int part = 0; part < 20; ++part) gone += purge(kNow + Seconds{7200}, kPart);
  EXPECT_EQ(gone, 3U * kRows + 2U);
}

}  // namespace
}  // namespace behalf::test
