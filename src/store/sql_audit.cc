// The audit log in the store: one record after another, and the way to those of one grant.
//
// The log is never purged, and an index by grant over all of it would have to be written at a random place
// for every record. So it is kept in runs, and for each grant it is noted once in a while in which part of
// the log it is worth looking (docs/decisions/0012-the-log-by-grant-in-stretches.md).
#include <algorithm>

#include "store/sql_store.h"

namespace behalf::store {
namespace {

using Statement = Database::Statement;

constexpr int64_t kStretch = WriterState::kStretchLength;

// A record passes if it names what the filter names; the agent may stand anywhere in the chain.
bool passes(const AuditFilter& filter, std::string_view record) {
  if (filter.user.empty() && filter.agent.empty() && filter.client.empty() && filter.event.empty())
    return true;
  const auto value = json::parse(record, kRecordLimits);
  if (!value) return false;
  if (!filter.user.empty() && text_of(*value, "user") != filter.user) return false;
  if (!filter.client.empty() && text_of(*value, "client") != filter.client) return false;
  if (!filter.event.empty() && !text_of(*value, "event").starts_with(filter.event)) return false;
  if (filter.agent.empty() || text_of(*value, "agent") == filter.agent) return true;
  const json::Value* chain = value->find("chain");
  if (chain == nullptr || chain->array() == nullptr) return false;
  return std::any_of(chain->array()->begin(), chain->array()->end(), [&](const json::Value& hop) {
    return hop.string() != nullptr && *hop.string() == filter.agent;
  });
}

// ---- What must not be kept ----

constexpr std::string_view kInsteadOfSecret = "[secret]";
// Of what this server hands out, the shortest after its prefix.
constexpr size_t kShortestSecret = kSecretLength;
constexpr size_t kShortestHeader = 12;

bool is_of_a_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}
bool begins_a_word(std::string_view text, size_t at) { return at == 0 || !is_of_a_word(text[at - 1]); }
size_t end_of_word(std::string_view text, size_t at) {
  while (at < text.size() && is_of_a_word(text[at])) ++at;
  return at;
}

// The end of what begins there with one of our prefixes and is as long as a secret; `at` if nothing does.
size_t end_of_own_secret(std::string_view text, size_t at) {
  const std::string_view prefix = text.substr(at, 3);
  const bool is_ours = prefix == "ac_" || prefix == "rt_" || prefix == "at_" || prefix == "cs_";
  if (!is_ours || !begins_a_word(text, at)) return at;
  const size_t end = end_of_word(text, at + 3);
  return end - (at + 3) >= kShortestSecret ? end : at;
}

// The same of a JWT: two or more parts of base64url after a header, which begins with an open brace and has
// room for a member.
size_t end_of_jwt(std::string_view text, size_t at) {
  if (!text.substr(at).starts_with("eyJ") || !begins_a_word(text, at)) return at;
  size_t end = end_of_word(text, at);
  if (end - at < kShortestHeader) return at;
  int dots = 0;
  while (end < text.size() && text[end] == '.') {
    ++dots;
    end = end_of_word(text, end + 1);
  }
  return dots >= 2 ? end : at;
}

// A caller may write a secret where a name belongs. It is looked for in all of a record's text at once: no
// part of one is changed by being written as JSON.
void hide_secrets(std::string& text) {
  const auto hide = [&](size_t at, size_t end) { text.replace(at, end - at, kInsteadOfSecret); };
  for (size_t at = text.find('_'); at != std::string::npos; at = text.find('_', at + 1)) {
    if (at < 2) continue;
    const size_t end = end_of_own_secret(text, at - 2);
    if (end > at) hide(at - 2, end);
  }
  for (size_t at = text.find("eyJ"); at != std::string::npos; at = text.find("eyJ", at + 1)) {
    const size_t end = end_of_jwt(text, at);
    if (end > at) hide(at, end);
  }
}

#define AUDIT_COLUMNS "sequence, record, hash, grant_id"

// $2 to $3 are a stretch's runs, and between $4 and $5 is what is asked for of it. Run 0 is always looked at.
#define OF_GRANT_IN_STRETCH                                                                                  \
  "WITH RECURSIVE later (n) AS (SELECT CAST($2 AS BIGINT) UNION ALL SELECT n + 1 FROM later WHERE n < $3), " \
  "runs (n) AS (SELECT 0 UNION SELECT n FROM later) "                                                        \
  "SELECT " AUDIT_COLUMNS                                                                                    \
  " FROM audit WHERE sequence IN (SELECT logged.sequence FROM runs CROSS JOIN "                              \
  "audit AS logged WHERE logged.run = n AND logged.grant_id = $1 AND logged.grant_id IS NOT NULL AND "       \
  "logged.sequence > $4 AND logged.sequence < $5 "

}  // namespace

void SqlTransaction::append_audit(const AuditRecord& record, UnixTime now) {
  WriterState& state = *writing_;
  const int64_t sequence = ++state.sequence;
  std::string text = canonical_json(record, sequence, now);
  hide_secrets(text);
  state.head_hash = state.chain(state.head_hash, text);
  state.high_water = std::max(state.high_water, now.milliseconds);
  constexpr Statement kAppend{
      "INSERT INTO audit (sequence, grant_id, record, hash, run) VALUES ($1, $2, $3, $4, $5)"};
  const bool has_grant = !record.grant.empty();
  const std::string_view lineage = has_grant ? record.grant : record.lineage;
  const int64_t run = has_grant ? sequence / WriterState::kRunLength : 0;
  database_.execute(kAppend, {sequence, nullable(lineage), text, state.head_hash, run});
  if (has_grant) note_stretch(record.grant, sequence / kStretch);
}

void SqlTransaction::note_stretch(const std::string& grant, int64_t stretch) {
  if (const int64_t* known = writing_->stretches.find(grant); known != nullptr && *known == stretch) return;
  constexpr Statement kNote{
      "INSERT INTO audit_stretches (grant_id, stretch) VALUES ($1, $2) ON CONFLICT DO NOTHING"};
  database_.execute(kNote, {grant, stretch});
  writing_->stretches.put(grant, stretch);
}

std::optional<SqlTransaction::Stretch> SqlTransaction::next_stretch(std::string_view grant, int64_t at,
                                                                    bool backward) {
  std::optional<Stretch> next;
  if (backward ? at <= 0 : at == INT64_MAX) return next;
  const auto take_noted = [&](const Row& row) {
    if (!row.is_null(0)) next = {row.integer(0), true};
  };
  const auto take_run_0 = [&](const Row& row) {
    if (row.is_null(0)) return;
    const int64_t stretch = row.integer(0) / kStretch;
    if (!next || (backward ? stretch > next->number : stretch < next->number)) next = {stretch, false};
  };
  constexpr Statement kLater{
      "SELECT min(stretch) FROM audit_stretches WHERE grant_id = $1 AND stretch >= $2"};
  constexpr Statement kEarlier{
      "SELECT max(stretch) FROM audit_stretches WHERE grant_id = $1 AND stretch <= $2"};
  constexpr Statement kLaterInRun0{
      "SELECT min(sequence) FROM audit WHERE run = 0 AND grant_id = $1 AND grant_id IS NOT NULL AND sequence "
      "> $2"};
  constexpr Statement kEarlierInRun0{
      "SELECT max(sequence) FROM audit WHERE run = 0 AND grant_id = $1 AND grant_id IS NOT NULL AND sequence "
      "< $2"};
  database_.query(backward ? kEarlier : kLater, {grant, (backward ? at - 1 : at + 1) / kStretch}, take_noted);
  database_.query(backward ? kEarlierInRun0 : kLaterInRun0, {grant, at}, take_run_0);
  return next;
}

// Goes on from `at`, which it moves; hands out at most `most` records and says how many. None: there are no
// more.
size_t SqlTransaction::read_grant_audit(std::string_view grant, int64_t& at, bool backward, int64_t most,
                                        const std::function<void(const Row&)>& each) {
  constexpr Statement kForward{OF_GRANT_IN_STRETCH "ORDER BY logged.sequence LIMIT $6) ORDER BY sequence"};
  constexpr Statement kBackward{OF_GRANT_IN_STRETCH
                                "ORDER BY logged.sequence DESC LIMIT $6) ORDER BY sequence DESC"};
  while (const auto stretch = next_stretch(grant, at, backward)) {
    // Nobody noted it: there is nothing in its own runs.
    const int64_t first_run = stretch->is_noted ? stretch->number * WriterState::kStretchRuns : 0;
    const int64_t last_run = stretch->is_noted ? first_run + WriterState::kStretchRuns - 1 : 0;
    const int64_t begin = stretch->number * kStretch;
    const int64_t end = begin + kStretch;
    const int64_t above = backward ? begin - 1 : std::max(at, begin - 1);
    const int64_t below = backward ? std::min(at, end) : end;
    const size_t seen = database_.query(backward ? kBackward : kForward,
                                        {grant, first_run, last_run, above, below, most}, each);
    if (seen < static_cast<size_t>(most)) at = backward ? begin : end - 1;
    if (seen > 0) return seen;
  }
  return 0;
}

AuditPage SqlTransaction::read_audit(const AuditFilter& filter) {
  // Not more at once than memory has room for where each record is as long as it may be.
  constexpr size_t kChunk = 500;
  AuditPage page;
  constexpr Statement kForward{"SELECT " AUDIT_COLUMNS
                               " FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2"};
  constexpr Statement kBackward{"SELECT " AUDIT_COLUMNS
                                " FROM audit WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2"};
  const bool backward = filter.newest_first;
  page.newest = last_record();
  int64_t at = backward ? filter.before : filter.after;
  page.read_to = at;
  size_t bytes = 0;
  bool is_full = page.records.size() >= filter.limit;
  while (!is_full && page.seen < filter.most_read) {
    const auto chunk = static_cast<int64_t>(std::min<size_t>(kChunk, filter.most_read - page.seen));
    const auto take = [&](const Row& row) {
      at = row.integer(0);
      if (is_full) return;
      const std::string_view text = row.text(1);
      if (passes(filter, text)) {
        if (!page.records.empty() && text.size() > filter.most_bytes - bytes) {
          is_full = true;
          return;
        }
        bytes += std::min(text.size(), filter.most_bytes - bytes);
        page.records.push_back({.sequence = at,
                                .json = std::string(text),
                                .hash = std::string(row.text(2)),
                                .lineage = std::string(row.text(3))});
        is_full = page.records.size() >= filter.limit;
      }
      ++page.seen;
      page.read_to = at;
    };
    const size_t seen = !filter.grant.empty()
                            ? read_grant_audit(filter.grant, at, backward, chunk, take)
                            : database_.query(backward ? kBackward : kForward, {at, chunk}, take);
    if (is_full) break;
    if (seen == 0 || (filter.grant.empty() && seen < static_cast<size_t>(chunk))) {
      page.is_end = true;
      page.read_to = backward ? 0 : std::max(page.newest, filter.after);
      break;
    }
  }
  return page;
}

int64_t SqlTransaction::last_record() {
  if (writing_ != nullptr) return writing_->sequence;
  int64_t last = 0;
  constexpr Statement kLast{"SELECT sequence FROM head WHERE id = 1"};
  database_.query(kLast, {}, [&](const Row& row) { last = row.integer(0); });
  return last;
}

}  // namespace behalf::store
