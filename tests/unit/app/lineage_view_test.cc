// The tree that `behalf audit lineage` draws: what hangs where, and nothing in it that moves a cursor.
#include "app/lineage_view.h"

#include <gtest/gtest.h>

namespace behalf::app {
namespace {

json::Value report(std::string_view lineage) {
  const auto value =
      json::parse(R"({"lineages":[)" + std::string(lineage) + "]}", {.bytes = 1024 * 1024, .depth = 32});
  EXPECT_TRUE(value) << lineage;
  return value ? *value : json::Value{};
}

TEST(LineageView, draws_from_the_decision_to_the_last_use) {
  const auto drawn = draw_lineages(report(R"({
    "grant":{"id":"g1","user":"alice","client":"planner","agent":"cal","scopes":"read","resources":["api"],
             "created_at":"T0","expires_at":"T9","ended_at":"T5","status":"ended","cause":"revoked_by_person"},
    "nodes":[
      {"id":"c1","kind":"authorization_code","client":"planner","chain":["cal"],"issued_at":"T0","status":"spent"},
      {"id":"r1","kind":"refresh_token","parent":"c1","client":"planner","chain":["cal"],"issued_at":"T1","status":"spent"},
      {"id":"r2","kind":"refresh_token","parent":"r1","client":"planner","chain":["cal"],"issued_at":"T2","status":"ended","cause":"expired","expires_at":"T8"},
      {"id":"t1","kind":"access_token","parent":"c1","client":"planner","chain":["cal"],"scope":"read","resource":"api","issued_at":"T1","status":"active","expires_at":"T6",
       "uses":[{"what":"GET /mail","resource":"api","count":4,"denied":1,"last_denied_for":"too_many","first":"T1","last":"T3","disputed":1}],
       "refused":[{"event":"token.token-exchange","reason":"onward_forbidden","count":2,"last":"T3"}]},
      {"id":"t2","kind":"access_token","by":"token.token-exchange","parent":"t1","client":"planner","chain":["sub","cal"],"scope":"read","resource":"api","issued_at":"T2","status":"ended","cause":"grant_ended","ended_at":"T5"}],
    "cut":["records before number 7 were not read"]})"),
                                   false);
  EXPECT_EQ(
      drawn,
      "alice allowed cal through client planner  consent g1\n"
      "  read at api\n"
      "  decided T0, ended T5: revoked_by_person\n"
      "└─ code cal through planner  c1\n"
      "   │  issued T0, used\n"
      "   ├─ refresh token cal through planner  r1\n"
      "   │     issued T1, used\n"
      "   ├─ refresh token cal through planner  r2\n"
      "   │     issued T2, expired T8\n"
      "   └─ token cal through planner  t1\n"
      "      │  read at api\n"
      "      │  issued T1, active until T6\n"
      "      │  ▸ GET /mail at api: let through 3 times, denied once (too_many), T1 to T3; disputed once\n"
      "      │  ▸ refused token.token-exchange 2 times (onward_forbidden), last T3\n"
      "      └─ exchanged token sub < cal through planner  t2\n"
      "            read at api\n"
      "            issued T2, ended T5: grant_ended\n"
      "not complete: records before number 7 were not read\n");
}

TEST(LineageView, colours_only_where_they_are_wanted) {
  const json::Value one = report(
      R"({"root":"x","nodes":[{"id":"x","kind":"access_token","subject":"a1","client":"c","status":"active"}]})");
  EXPECT_EQ(draw_lineages(one, false).find('\x1b'), std::string::npos);
  EXPECT_NE(draw_lineages(one, true).find('\x1b'), std::string::npos);
}

TEST(LineageView, parents_that_lead_in_a_ring_or_nowhere_end_nothing) {
  const auto drawn = draw_lineages(
      report(
          R"({"root":"x","nodes":[{"id":"x","kind":"refresh_token","parent":"y"},{"id":"y","kind":"refresh_token","parent":"x"},
      {"id":"z","kind":"access_token","parent":"gone","subject":"a"},{"no":1}]})"),
      false);
  EXPECT_NE(drawn.find("token a"), std::string::npos);
}

TEST(LineageView, a_chain_of_a_thousand_is_drawn) {
  std::string nodes;
  for (int i = 0; i < 1000; ++i) {
    nodes += (i == 0 ? "" : ",") + std::string(R"({"id":"n)") + std::to_string(i) +
             R"(","kind":"access_token","subject":"a","parent":"n)" + std::to_string(i - 1) + "\"}";
  }
  const auto drawn = draw_lineages(report(R"({"root":"n0","nodes":[)" + nodes + "]}"), false);
  EXPECT_NE(drawn.find("n999"), std::string::npos);
  EXPECT_LT(drawn.size(), 1'000'000u);
}

TEST(LineageView, a_hostile_report_stays_on_its_line) {
  const auto drawn =
      draw_lineages(report(R"({"root":"x","nodes":[{"id":"x","kind":"access_token","subject":"a","client":"c",
      "uses":[{"what":"GET /\u001b[2J\n\u202e","resource":"r","count":1,"denied":0,"first":"T","last":"T"}]}]})"),
                    false);
  EXPECT_EQ(drawn.find('\x1b'), std::string::npos);
  EXPECT_NE(drawn.find("GET /?[2J??"), std::string::npos) << drawn;
}

}  // namespace
}  // namespace behalf::app
