// Reads one TOML table of a policy file strictly: every complaint carries its line, none is thrown, and what
// nobody asked for is a complaint too.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace behalf::sdk::rules {

// Line and what is wrong there.
using Complaints = std::multimap<size_t, std::string>;

class TomlTable {
 public:
  TomlTable(const toml::table& table, Complaints& complaints);
  TomlTable(const TomlTable&) = delete;
  TomlTable& operator=(const TomlTable&) = delete;

  size_t line() const;
  bool has(std::string_view key) const { return table_.contains(key); }
  const toml::node* take(std::string_view key);

  // The value, or the fallback if there is none or it is wrong, which is complained about.
  std::string text(std::string_view key, std::string fallback = {});
  bool flag(std::string_view key, bool fallback);
  int64_t integer(std::string_view key, int64_t fallback, int64_t least, int64_t most);
  // Never empty if the key is there: an empty list would read as "anyone". In the order of the file.
  std::vector<std::string> list(std::string_view key);
  // The same, of words that are known.
  std::vector<std::string> words(std::string_view key, const std::vector<std::string_view>& known);
  // The position of the text in `choices`, or the fallback.
  size_t choice(std::string_view key, const std::vector<std::string_view>& choices, size_t fallback);
  const toml::table* table(std::string_view key);
  // The tables of a list of tables, or the one table that stands in its place.
  std::vector<const toml::table*> tables(std::string_view key);

  void complain(const toml::node* node, const std::string& what);
  void complain(std::string_view key, const std::string& what) { complain(table_.get(key), what); }
  // Complains about every key that was not taken. To be called last.
  void finish();

 private:
  const toml::table& table_;
  Complaints& complaints_;
  std::vector<std::string> known_;
};

}  // namespace behalf::sdk::rules
