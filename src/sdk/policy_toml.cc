#include "sdk/policy_toml.h"

#include <algorithm>
#include <numeric>

namespace behalf::sdk::rules {
namespace {

constexpr size_t kMaxTextBytes = 512;

// Levenshtein's distance, for keys: short texts.
size_t distance(std::string_view one, std::string_view two) {
  std::vector<size_t> row(two.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= one.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= two.size(); ++j) {
      const size_t change = diagonal + (one[i - 1] == two[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

// " (did you mean ...?)", or which there are.
std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& known) {
  const auto nearest = std::min_element(known.begin(), known.end(), [&](auto one, auto two) {
    return distance(name, one) < distance(name, two);
  });
  if (nearest != known.end() && name.size() < 64 && distance(name, *nearest) <= 2)
    return " (did you mean \"" + std::string(*nearest) + "\"?)";
  std::string all;
  for (const std::string_view one : known) all += (all.empty() ? "" : ", ") + std::string(one);
  return " (there are " + all + ")";
}

bool is_fit(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTextBytes && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

}  // namespace

TomlTable::TomlTable(const toml::table& table, Complaints& complaints)
    : table_(table), complaints_(complaints) {}

size_t TomlTable::line() const { return table_.source().begin.line; }

const toml::node* TomlTable::take(std::string_view key) {
  known_.emplace_back(key);
  return table_.get(key);
}

void TomlTable::complain(const toml::node* node, const std::string& what) {
  complaints_.emplace(node == nullptr ? line() : node->source().begin.line, what);
}

std::string TomlTable::text(std::string_view key, std::string fallback) {
  const toml::node* node = take(key);
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<std::string>();
  if (value && is_fit(*value)) return *value;
  complain(node, std::string(key) +
                     (value ? " must not be empty, very long, or have control characters" : " must be text"));
  return fallback;
}

bool TomlTable::flag(std::string_view key, bool fallback) {
  const toml::node* node = take(key);
  if (node == nullptr) return fallback;
  if (const auto value = node->value_exact<bool>()) return *value;
  complain(node, std::string(key) + " must be true or false");
  return fallback;
}

int64_t TomlTable::integer(std::string_view key, int64_t fallback, int64_t least, int64_t most) {
  const toml::node* node = take(key);
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<int64_t>();
  if (value && *value >= least && *value <= most) return *value;
  complain(node, std::string(key) + " must be a whole number from " + std::to_string(least) + " to " +
                     std::to_string(most));
  return fallback;
}

std::vector<std::string> TomlTable::list(std::string_view key) {
  std::vector<std::string> items;
  const toml::node* node = take(key);
  if (node == nullptr) return items;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    complain(node, std::string(key) + " must be a list of texts, such as [\"a\", \"b\"]");
    return items;
  }
  if (array->empty()) complain(node, std::string(key) + " is empty: leave it out, or name something");
  for (const toml::node& item : *array) {
    const auto value = item.value_exact<std::string>();
    if (!value) {
      complain(&item, std::string(key) + " must be a list of texts");
    } else if (!is_fit(*value)) {
      complain(&item, std::string(key) + " has a text that is empty, very long, or has control characters");
    } else if (std::find(items.begin(), items.end(), *value) != items.end()) {
      complain(&item, std::string(key) + " names \"" + *value + "\" twice");
    } else {
      items.push_back(*value);
    }
  }
  return items;
}

std::vector<std::string> TomlTable::words(std::string_view key, const std::vector<std::string_view>& known) {
  std::vector<std::string> items = list(key);
  for (const std::string& item : items) {
    if (std::find(known.begin(), known.end(), item) != known.end()) continue;
    complain(key, "\"" + item + "\" can never be one of " + std::string(key) + did_you_mean(item, known));
  }
  return items;
}

size_t TomlTable::choice(std::string_view key, const std::vector<std::string_view>& choices,
                         size_t fallback) {
  const toml::node* node = take(key);
  if (node == nullptr) return fallback;
  if (const auto value = node->value_exact<std::string>()) {
    const auto found = std::find(choices.begin(), choices.end(), *value);
    if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  }
  std::string what = std::string(key) + " must be ";
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) what += i + 1 == choices.size() ? " or " : ", ";
    what += "\"" + std::string(choices[i]) + "\"";
  }
  complain(node, what);
  return fallback;
}

const toml::table* TomlTable::table(std::string_view key) {
  const toml::node* node = take(key);
  if (node == nullptr) return nullptr;
  if (const toml::table* inner = node->as_table()) return inner;
  complain(node, std::string(key) + " must be a table");
  return nullptr;
}

std::vector<const toml::table*> TomlTable::tables(std::string_view key) {
  std::vector<const toml::table*> result;
  const toml::node* node = take(key);
  if (node == nullptr) return result;
  if (const toml::table* one = node->as_table()) return {one};
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty()) {
    complain(node, std::string(key) + " must be a table or a list of tables");
    return result;
  }
  for (const toml::node& item : *array) {
    if (const toml::table* one = item.as_table())
      result.push_back(one);
    else
      complain(&item, std::string(key) + " must be a table or a list of tables");
  }
  return result;
}

void TomlTable::finish() {
  for (const auto& [key, node] : table_) {
    const std::string_view name = key.str();
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    std::string what = "unknown key \"" + std::string(name) + "\"";
    const auto nearest =
        std::min_element(known_.begin(), known_.end(), [&](const std::string& one, const std::string& two) {
          return distance(name, one) < distance(name, two);
        });
    if (nearest != known_.end() && name.size() < 64 && distance(name, *nearest) <= 2)
      what += " (did you mean \"" + *nearest + "\"?)";
    complaints_.emplace(key.source().begin.line, what);
  }
}

}  // namespace behalf::sdk::rules
