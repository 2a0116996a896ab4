// What both databases promise through Database, proved on each with the same SQL.
#include "store/database_contract.h"

#include <limits>
#include <vector>

namespace behalf::test {
namespace {

using store::Database;
using store::Row;

class DatabaseContract : public OnBothDatabases {
 protected:
  void SetUp() override {
    OnBothDatabases::SetUp();
    if (HasFatalFailure() || IsSkipped()) return;
    connector_ = connect();
    writer_ = connector_->open_writer();
    writer_->run_script(
        "CREATE TABLE items (id TEXT PRIMARY KEY, number BIGINT, parent TEXT REFERENCES items(id), note "
        "TEXT); "
        "CREATE TABLE counters (id TEXT PRIMARY KEY, value BIGINT NOT NULL);");
  }

  void insert(std::string_view id, int64_t number) {
    writer_->execute({"INSERT INTO items (id, number) VALUES ($1, $2)"}, {id, number});
  }
  int64_t count() { return one_integer(*writer_, {"SELECT count(*) FROM items"}); }

  std::unique_ptr<store::Connector> connector_;
  std::unique_ptr<Database> writer_;
};
INSTANTIATE_TEST_SUITE_P(Both, DatabaseContract, testing::Values(Kind::sqlite, Kind::postgres), name_of);

TEST_P(DatabaseContract, HostileTextComesBackUnchanged) {
  std::string every_ascii;
  for (char c = 1; c < 127; ++c) every_ascii.push_back(c);
  const std::vector<std::string> texts = {"",
                                          " ",
                                          "plain",
                                          "Plain",
                                          "PLAIN",
                                          "'; DROP TABLE items; --",
                                          "\"quoted\" \\ back\\\\slash",
                                          "$1 ? :a @b %s",
                                          "NULL",
                                          "line\r\nbreak\ttab",
                                          "\xF0\x9F\xA6\x8A\xE2\x80\x8D\xF0\x9F\x94\xA5",
                                          "\xC3\xA9 and e\xCC\x81",  // an emoji; é twice
                                          "\xEF\xBB\xBF"
                                          "byte order mark",
                                          "\xE2\x80\xAE"
                                          "right to left",
                                          every_ascii,
                                          std::string(1 << 20, 'x'),
                                          "t",
                                          "f",
                                          "007",
                                          "-0"};
  // In a column without an index: PostgreSQL keeps at most 2704 bytes in one.
  writer_->begin();
  for (const std::string& text : texts) {
    writer_->execute({"INSERT INTO items (id, note) VALUES ($1, $2)"},
                     {std::string_view(std::to_string(&text - texts.data())), std::string_view(text)});
  }
  writer_->flush();
  writer_->commit();
  for (const std::string& text : texts) {
    const std::string id = std::to_string(&text - texts.data());
    const size_t rows = writer_->query({"SELECT id, note FROM items WHERE note = $1"},
                                       {std::string_view(text)}, [&](const Row& row) {
                                         EXPECT_EQ(row.text(0), id);
                                         EXPECT_EQ(row.text(1), text);
                                       });
    EXPECT_EQ(rows, 1U) << text.substr(0, 100);
  }
}

TEST_P(DatabaseContract, KeysThatDifferInCaseAccentFormOrSpaceAreDifferent) {
  for (const std::string_view key : {"key", "Key", "KEY", "key ", " key", "\xC3\xA9", "e\xCC\x81",
                                     "\xEF\xBC\xAB"
                                     "ey"}) {
    insert(key, 1);
  }
  EXPECT_EQ(count(), 8);
  EXPECT_EQ(one_integer(*writer_, {"SELECT count(*) FROM items WHERE id = $1"}, {std::string_view("KEY")}),
            1);
}

TEST_P(DatabaseContract, TextWithNulIsRefusedBeforeItIsSent) {
  const std::string with_nul("before\0after", 12);
  const std::string ends_in_nul("1234567\0", 8);
  writer_->begin();
  EXPECT_THROW(insert(with_nul, 1), std::runtime_error);
  EXPECT_THROW(insert(ends_in_nul, 1), std::runtime_error);
  insert("fine", 1);
  writer_->commit();
  EXPECT_EQ(count(), 1);
}

TEST_P(DatabaseContract, TextThatIsNotUtf8IsRefused) {
  for (const std::string_view text : {"\xFF", "12345678\xC0\xAF", "\xED\xA0\x80", "cut \xF0\x9F\xA6"}) {
    EXPECT_THROW(insert(text, 1), std::runtime_error);
  }
  EXPECT_EQ(count(), 0);
}

TEST_P(DatabaseContract, IntegersKeepAll64Bits) {
  using Limits = std::numeric_limits<int64_t>;
  for (const int64_t number :
       {Limits::min(), Limits::max(), int64_t{0}, int64_t{-1}, int64_t{1} << 53, (int64_t{1} << 53) + 1}) {
    EXPECT_EQ(one_integer(*writer_, {"INSERT INTO items (id, number) VALUES ($1, $2) RETURNING number"},
                          {std::string_view(std::to_string(number)), number}),
              number);
  }
}

TEST_P(DatabaseContract, NullIsNeitherZeroNorEmpty) {
  writer_->execute({"INSERT INTO items (id, number, parent) VALUES ($1, $2, $3)"},
                   {std::string_view(), nullptr, nullptr});
  const auto look = [](const Row& row) {
    EXPECT_FALSE(row.is_null(0));
    EXPECT_EQ(row.text(0), "");
    EXPECT_TRUE(row.is_null(1));
    EXPECT_EQ(row.integer(1), 0);
    EXPECT_TRUE(row.is_null(2));
    EXPECT_EQ(row.text(2), "");
  };
  EXPECT_EQ(writer_->query({"SELECT id, number, parent FROM items WHERE number IS NULL"}, {}, look), 1U);
}

TEST_P(DatabaseContract, ComparisonsYieldOneAndZero) {
  EXPECT_EQ(one_integer(*writer_, {"SELECT 1 = 1"}), 1);
  EXPECT_EQ(one_integer(*writer_, {"SELECT EXISTS (SELECT 1 FROM items)"}), 0);
}

TEST_P(DatabaseContract, TextIsNotReadAsAnInteger) {
  EXPECT_THROW(one_integer(*writer_, {"SELECT 'twelve'"}), std::runtime_error);
}

TEST_P(DatabaseContract, AColumnThatIsNotThereIsAFault) {
  EXPECT_THROW(writer_->query({"SELECT 1"}, {}, [](const Row& row) { static_cast<void>(row.integer(1)); }),
               std::runtime_error);
}

TEST_P(DatabaseContract, PlaceholdersMayRepeatAndComeInAnyOrder) {
  writer_->query({"SELECT CAST($3 AS TEXT), CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT)"},
                 {std::string_view("one"), std::string_view("two"), std::string_view("three")},
                 [](const Row& row) {
                   EXPECT_EQ(row.text(0), "three");
                   EXPECT_EQ(row.text(1), "one");
                   EXPECT_EQ(row.text(2), "two");
                   EXPECT_EQ(row.text(3), "three");
                 });
}

TEST_P(DatabaseContract, AWrongNumberOfParametersIsAFault) {
  EXPECT_THROW(writer_->query({"SELECT CAST($1 AS TEXT)"}, {}, ignore), std::runtime_error);
  EXPECT_THROW(writer_->query({"SELECT CAST($1 AS TEXT)"}, {int64_t{1}, int64_t{2}}, ignore),
               std::runtime_error);
  EXPECT_EQ(count(), 0) << "the connection is as good as before";
}

TEST_P(DatabaseContract, InsertOnConflictDoNothingReturnsOnlyTheFirst) {
  constexpr Database::Statement kInsert{
      "INSERT INTO items (id, number) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING number"};
  EXPECT_EQ(writer_->query(kInsert, {std::string_view("a"), int64_t{1}}, ignore), 1U);
  EXPECT_EQ(writer_->query(kInsert, {std::string_view("a"), int64_t{2}}, ignore), 0U);
  EXPECT_EQ(one_integer(*writer_, {"SELECT number FROM items"}), 1);
}

TEST_P(DatabaseContract, ChangeSaysHowManyRowsItChanged) {
  writer_->begin();
  constexpr Database::Statement kInsert{
      "INSERT INTO items (id, number) VALUES ($1, $2) ON CONFLICT DO NOTHING"};
  EXPECT_EQ(writer_->change(kInsert, {std::string_view("a"), int64_t{1}}), 1U);
  EXPECT_EQ(writer_->change(kInsert, {std::string_view("a"), int64_t{2}}), 0U);
  EXPECT_EQ(writer_->change(kInsert, {std::string_view("b"), int64_t{1}}), 1U);
  constexpr Database::Statement kUpdate{"UPDATE items SET number = $1 WHERE number = 1"};
  EXPECT_EQ(writer_->change(kUpdate, {int64_t{7}}), 2U);
  EXPECT_EQ(writer_->change(kUpdate, {int64_t{7}}), 0U);
  writer_->commit();
}

TEST_P(DatabaseContract, ConditionalUpdateReturnsTheRowOnce) {
  insert("code", 0);
  constexpr Database::Statement kSpend{
      "UPDATE items SET number = 1 WHERE id = $1 AND number = 0 RETURNING id"};
  EXPECT_EQ(writer_->query(kSpend, {std::string_view("code")}, ignore), 1U);
  EXPECT_EQ(writer_->query(kSpend, {std::string_view("code")}, ignore), 0U);
}

TEST_P(DatabaseContract, RowsComeInTheOrderAskedForAndLimitHolds) {
  for (const int64_t number : {3, 1, 2, 5, 4}) insert(std::to_string(number), number);
  std::vector<int64_t> numbers;
  writer_->query({"SELECT number FROM items ORDER BY number LIMIT $1"}, {int64_t{3}},
                 [&](const Row& row) { numbers.push_back(row.integer(0)); });
  EXPECT_EQ(numbers, (std::vector<int64_t>{1, 2, 3}));
}

TEST_P(DatabaseContract, RecursiveQueriesWalkATree) {
  insert("root", 1);
  for (const auto& [id, parent] :
       {std::pair<std::string_view, std::string_view>{"child", "root"}, {"grandchild", "child"}}) {
    writer_->execute({"INSERT INTO items (id, number, parent) VALUES ($1, 1, $2)"}, {id, parent});
  }
  insert("stranger", 1);
  EXPECT_EQ(one_integer(*writer_,
                        {"WITH RECURSIVE below(id) AS (SELECT id FROM items WHERE id = $1 UNION ALL "
                         "SELECT items.id FROM items JOIN below ON items.parent = below.id) "
                         "SELECT count(*) FROM below"},
                        {std::string_view("root")}),
            3);
}

TEST_P(DatabaseContract, OneQueryMayBeAskedFromInsideAnother) {
  insert("a", 1);
  insert("b", 2);
  int64_t sum = 0;
  writer_->query({"SELECT id FROM items"}, {}, [&](const Row& row) {
    sum += one_integer(*writer_, {"SELECT number FROM items WHERE id = $1"}, {row.text(0)});
  });
  EXPECT_EQ(sum, 3);
}

TEST_P(DatabaseContract, WhatEachThrowsPassesThroughAndTheStatementWorksAgain) {
  insert("a", 1);
  insert("b", 2);
  writer_->flush();
  constexpr Database::Statement kAll{"SELECT id FROM items"};
  struct Stop {};
  EXPECT_THROW(writer_->query(kAll, {}, [](const Row&) { throw Stop(); }), Stop);
  EXPECT_EQ(writer_->query(kAll, {}, ignore), 2U);
}

TEST_P(DatabaseContract, RolledBackMeansNothingHappened) {
  writer_->begin();
  insert("a", 1);
  EXPECT_EQ(count(), 1);
  writer_->rollback();
  EXPECT_EQ(count(), 0);
}

TEST_P(DatabaseContract, AFailedConstraintIsAFaultAndNamesTheStatementButNoValue) {
  insert("secret-value", 1);
  writer_->flush();
  writer_->begin();
  try {
    insert("secret-value", 2);
    writer_->flush();
    FAIL() << "the second row was taken";
  } catch (const store::StoreUnavailable&) {
    FAIL() << "our own mistake is not the database's absence";
  } catch (const std::runtime_error& fault) {
    const std::string message = fault.what();
    EXPECT_NE(message.find("INSERT INTO items"), std::string::npos) << message;
    EXPECT_EQ(message.find("secret-value"), std::string::npos) << message;
  }
  writer_->rollback();
  EXPECT_EQ(count(), 1);
}

TEST_P(DatabaseContract, ForeignKeysAreEnforced) {
  writer_->begin();
  EXPECT_THROW(
      {
        writer_->execute({"INSERT INTO items (id, parent) VALUES ($1, $2)"},
                         {std::string_view("a"), std::string_view("none")});
        writer_->flush();
      },
      std::runtime_error);
  writer_->rollback();
}

TEST_P(DatabaseContract, AFaultSentAheadSurfacesAtFlushAtTheLatestAndNothingAfterItHappens) {
  writer_->begin();
  EXPECT_THROW(
      {
        insert("a", 1);
        insert("a", 2);
        insert("b", 3);
        writer_->flush();
      },
      std::runtime_error);
  writer_->rollback();
  EXPECT_EQ(count(), 0);
  writer_->begin();
  insert("b", 3);
  writer_->flush();
  writer_->commit();
  EXPECT_EQ(count(), 1) << "statements first used in a failed transaction work in the next";
}

TEST_P(DatabaseContract, AFaultSentAheadSurfacesAtTheNextQuery) {
  writer_->begin();
  EXPECT_THROW(
      {
        insert("a", 1);
        insert("a", 2);
        count();
      },
      std::runtime_error);
  writer_->rollback();
  EXPECT_EQ(count(), 0);
}

TEST_P(DatabaseContract, CommitWithoutFlushStillFailsOnAFaultSentAhead) {
  writer_->begin();
  EXPECT_THROW(
      {
        insert("a", 1);
        insert("a", 2);
        writer_->commit();
      },
      std::runtime_error);
  writer_->rollback();
  EXPECT_EQ(count(), 0);
}

TEST_P(DatabaseContract, FaultySqlIsAFaultAndHarmsNoLaterTransaction) {
  writer_->begin();
  EXPECT_THROW(writer_->query({"SELEKT 1"}, {}, ignore), std::runtime_error);
  writer_->rollback();
  writer_->begin();
  EXPECT_THROW(writer_->query({"SELEKT 1"}, {}, ignore), std::runtime_error)
      << "it is not taken for prepared";
  writer_->rollback();
  EXPECT_EQ(count(), 0);
}

TEST_P(DatabaseContract, BeginInsideATransactionIsAFault) {
  writer_->begin();
  EXPECT_THROW(writer_->begin(), std::runtime_error);
  writer_->rollback();
}

TEST_P(DatabaseContract, MoreStatementsThanThePipelineHoldsAllHappen) {
  writer_->begin();
  for (int64_t number = 0; number < 5000; ++number) insert(std::to_string(number), number);
  writer_->commit();
  EXPECT_EQ(count(), 5000);
}

TEST_P(DatabaseContract, MoreBytesThanTheSocketHoldsAreSentWithoutADeadlock) {
  const std::string large(1 << 20, 'y');
  writer_->begin();
  for (int i = 0; i < 12; ++i) {
    writer_->execute({"INSERT INTO items (id, parent) VALUES ($1, NULL) RETURNING CAST($2 AS TEXT)"},
                     {std::string_view(std::to_string(i)), std::string_view(large)});
  }
  writer_->commit();
  EXPECT_EQ(count(), 12);
}

TEST_P(DatabaseContract, AReaderSeesOnlyWhatIsCommitted) {
  const auto reader = connector_->open_reader();
  constexpr Database::Statement kCount{"SELECT count(*) FROM items"};
  writer_->begin();
  insert("a", 1);
  EXPECT_EQ(count(), 1);
  EXPECT_EQ(one_integer(*reader, kCount), 0);
  writer_->commit();
  EXPECT_EQ(one_integer(*reader, kCount), 1);
}

TEST_P(DatabaseContract, AReadSnapshotStandsStillWhileTheWriterCommits) {
  const auto reader = connector_->open_reader();
  constexpr Database::Statement kCount{"SELECT count(*) FROM items"};
  reader->begin_read();
  EXPECT_EQ(one_integer(*reader, kCount), 0);
  writer_->begin();
  insert("a", 1);
  writer_->commit();
  EXPECT_EQ(one_integer(*reader, kCount), 0);
  reader->commit();
  EXPECT_EQ(one_integer(*reader, kCount), 1);
}

TEST_P(DatabaseContract, AReaderCannotWrite) {
  const auto reader = connector_->open_reader();
  EXPECT_THROW(
      reader->query({"INSERT INTO counters (id, value) VALUES ('a', 1) RETURNING value"}, {}, ignore),
      store::StoreUnavailable);
  EXPECT_EQ(one_integer(*writer_, {"SELECT count(*) FROM counters"}), 0);
}

TEST_P(DatabaseContract, AFaultyScriptIsAFault) {
  EXPECT_THROW(writer_->run_script("CREATE TABLE more (id TEXT); SELEKT 1;"), std::runtime_error);
  EXPECT_EQ(count(), 0);
}

TEST_P(DatabaseContract, AScriptMayRunInsideATransaction) {
  writer_->begin();
  writer_->run_script("CREATE TABLE more (id TEXT PRIMARY KEY); INSERT INTO more VALUES ('a');");
  writer_->rollback();
  writer_->run_script("CREATE TABLE more (id TEXT PRIMARY KEY); INSERT INTO more VALUES ('a');");
  EXPECT_EQ(one_integer(*writer_, {"SELECT count(*) FROM more"}), 1);
}

TEST_P(DatabaseContract, WhatWasCommittedIsThereAfterReopening) {
  writer_->begin();
  insert("a", 1);
  writer_->commit();
  writer_.reset();
  connector_.reset();
  connector_ = connect();
  writer_ = connector_->open_writer();
  EXPECT_EQ(count(), 1);
}

}  // namespace
}  // namespace behalf::test
