// What only a database behind a connection can get wrong: the server gone, restarted, hung up or not to be
// trusted.
#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::Database;
using store::postgres_connector;
using store::Row;
using store::StoreConflict;
using store::StoreUnavailable;

constexpr Database::Statement kInsert{"INSERT INTO items (id, value) VALUES ($1, 0)"};
constexpr Database::Statement kCount{"SELECT count(*) FROM items"};

class Postgres : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_POSTGRES();
    cluster_ = PostgresCluster::shared();
    address_ = cluster_->fresh_database();
    connector_ = postgres_connector(address_);
    writer_ = connector_->open_writer();
    writer_->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)");
  }

  void insert(int64_t id) {
    writer_->begin();
    writer_->execute(kInsert, {id});
    writer_->commit();
  }
  std::string text(Database::Statement statement) {
    std::string value;
    writer_->query(statement, {}, [&](const Row& row) { value = row.text(0); });
    return value;
  }
  // Cuts the writer's connection as a failing network or an administrator would.
  void hang_up() {
    const int64_t process = one_integer(*writer_, {"SELECT pg_backend_pid()"});
    EXPECT_EQ(one_integer(*connector_->open_reader(),
                          {"SELECT pg_terminate_backend(CAST($1 AS INTEGER), 5000)"}, {process}),
              1);
  }
  static std::string refusal(const std::string& address) {
    try {
      postgres_connector(address)->open_writer();
    } catch (const StoreUnavailable& refused) {
      return refused.what();
    }
    return "accepted";
  }

  PostgresCluster* cluster_ = nullptr;
  std::string address_;
  std::unique_ptr<store::Connector> connector_;
  std::unique_ptr<Database> writer_;
};

TEST_F(Postgres, ARestartBetweenTransactionsHarmsNobody) {
  insert(1);
  cluster_->restart_immediately();
  insert(2);
  EXPECT_EQ(one_integer(*writer_, kCount), 2)
      << "what was acknowledged survived, and the next transaction reconnected";
}

TEST_F(Postgres, ARestartInsideATransactionMakesItUnavailableAndTheNextOneWorks) {
  writer_->begin();
  writer_->execute(kInsert, {int64_t{1}});
  writer_->flush();
  cluster_->restart_immediately();
  EXPECT_THROW(writer_->query(kCount, {}, ignore), StoreUnavailable);
  EXPECT_THROW(writer_->query(kCount, {}, ignore), StoreUnavailable)
      << "half a transaction does not go on elsewhere";
  EXPECT_THROW(
      {
        writer_->execute(kInsert, {int64_t{2}});
        writer_->commit();
      },
      StoreUnavailable);
  writer_->rollback();
  insert(3);
  EXPECT_EQ(one_integer(*writer_, kCount), 1);
}

TEST_F(Postgres, WhileTheServerIsGoneEveryBeginIsUnavailable) {
  cluster_->stop();
  EXPECT_THROW(writer_->begin(), StoreUnavailable);
  EXPECT_THROW(writer_->begin(), StoreUnavailable);
  EXPECT_THROW(postgres_connector(address_)->open_writer(), StoreUnavailable);
  cluster_->start();
  insert(1);
  EXPECT_EQ(one_integer(*writer_, kCount), 1);
}

TEST_F(Postgres, AHungUpConnectionIsNoticedBeforeTheNextTransaction) {
  insert(1);
  hang_up();
  insert(2);
  EXPECT_EQ(one_integer(*writer_, kCount), 2);
}

TEST_F(Postgres, AConnectionCutAtCommitLeavesTheOutcomeUnknown) {
  writer_->begin();
  writer_->execute(kInsert, {int64_t{1}});
  writer_->flush();
  hang_up();
  try {
    writer_->commit();
    FAIL() << "committed without a connection";
  } catch (const StoreUnavailable& unknown) {
    EXPECT_NE(std::string(unknown.what()).find("unknown whether"), std::string::npos) << unknown.what();
  }
  writer_->rollback();
  insert(2);
}

TEST_F(Postgres, AFailedTransactionIsNotTakenForCommitted) {
  writer_->begin();
  EXPECT_THROW(writer_->query({"SELECT 1 / (SELECT 0)"}, {}, ignore), std::runtime_error);
  EXPECT_THROW(writer_->commit(), StoreUnavailable) << "the server answers ROLLBACK, without an error";
  writer_->rollback();
}

TEST_F(Postgres, ASerialisationFailureIsAConflict) {
  insert(1);
  const auto other = connector_->open_writer();
  writer_->begin();
  writer_->execute({"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"}, {});
  EXPECT_EQ(one_integer(*writer_, {"SELECT value FROM items WHERE id = 1"}), 0);
  other->begin();
  other->execute({"UPDATE items SET value = 1 WHERE id = 1"}, {});
  other->commit();
  EXPECT_THROW(writer_->query({"UPDATE items SET value = 2 WHERE id = 1 RETURNING id"}, {}, ignore),
               StoreConflict);
  writer_->rollback();
  EXPECT_EQ(one_integer(*writer_, {"SELECT value FROM items WHERE id = 1"}), 1);
}

TEST_F(Postgres, ARowLockedForTooLongIsUnavailable) {
  insert(1);
  const auto other = connector_->open_writer();
  other->begin();
  other->execute({"UPDATE items SET value = 1 WHERE id = 1"}, {});
  other->flush();
  writer_->begin();
  writer_->execute({"SET LOCAL lock_timeout = '20ms'"}, {});
  EXPECT_THROW(writer_->query({"UPDATE items SET value = 2 WHERE id = 1 RETURNING id"}, {}, ignore),
               StoreUnavailable);
  writer_->rollback();
  other->commit();
  EXPECT_EQ(one_integer(*writer_, {"SELECT value FROM items WHERE id = 1"}), 1);
}

TEST_F(Postgres, AStatementThatTakesTooLongIsUnavailable) {
  writer_->begin();
  writer_->execute({"SET LOCAL statement_timeout = '20ms'"}, {});
  EXPECT_THROW(writer_->query({"SELECT pg_sleep(30)"}, {}, ignore), StoreUnavailable);
  writer_->rollback();
  insert(1);
}

// Millions of rows take longer than any request may.
TEST_F(Postgres, AMigrationHasNoLimits) {
  const auto open = [&] {
    return store::Store(postgres_connector(address_), [](std::string_view) { return std::string(32, 'h'); });
  };
  { const auto store = open(); }
  writer_->begin();
  writer_->run_script(
      std::string(kBackToThirdSchema) +
      "UPDATE schema_version SET version = 3; "
      "CREATE FUNCTION look() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF current_setting('statement_timeout') <> '0' OR current_setting('lock_timeout') <> '0' "
      "THEN RAISE EXCEPTION 'limited'; END IF; END $$; "
      "CREATE EVENT TRIGGER look ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION look()");
  writer_->commit();
  { const auto store = open(); }
  EXPECT_EQ(one_integer(*writer_, {"SELECT version FROM schema_version"}), 4);
}

TEST_F(Postgres, TheSessionHasItsLimitsAndItsName) {
  EXPECT_EQ(text({"SHOW statement_timeout"}), "10s");
  EXPECT_EQ(text({"SHOW lock_timeout"}), "5s");
  EXPECT_EQ(text({"SHOW idle_in_transaction_session_timeout"}), "30s");
  EXPECT_EQ(text({"SHOW application_name"}), "behalf");
  EXPECT_EQ(text({"SHOW client_encoding"}), "UTF8");
}

TEST_F(Postgres, AServerThatMayLoseWhatItAcknowledgedIsRefused) {
  EXPECT_NE(refusal(address_ + " options='-c synchronous_commit=off'").find("synchronous_commit"),
            std::string::npos);
  for (const std::string setting : {"fsync", "full_page_writes"}) {
    cluster_->stop();
    cluster_->start(setting + "=off");
    EXPECT_NE(refusal(address_).find(setting), std::string::npos);
    EXPECT_THROW(writer_->begin(), StoreUnavailable) << "also when it comes back like that";
  }
  cluster_->stop();
  cluster_->start();
  EXPECT_EQ(refusal(address_), "accepted");
}

TEST_F(Postgres, ADatabaseThatIsNotUtf8IsRefused) {
  const std::string other = address_.substr(address_.rfind('=') + 1) + "_ascii";
  writer_->run_script("CREATE DATABASE " + other +
                      " TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'");
  EXPECT_NE(refusal(address_ + "_ascii").find("UTF8"), std::string::npos);
}

TEST_F(Postgres, NoMessageShowsThePassword) {
  for (const std::string address :
       {"host=/nowhere dbname=x password=hunter2", "postgresql://user:hunter2@[/x",
        "host=/nowhere password=hunter2 oops", "postgresql://u:hunter2@localhost:1/x"}) {
    const std::string message = refusal(address);
    EXPECT_NE(message, "accepted");
    EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace behalf::test
