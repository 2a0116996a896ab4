#include "app/state_file.h"

#include <toml++/toml.h>

#include <filesystem>

#include "app/config.h"
#include "base/bytes.h"
#include "base/file.h"

namespace behalf::app {
namespace {

struct Complaint {
  std::string text;
};

class Converter {
 public:
  explicit Converter(std::string path) : path_(std::move(path)) {}

  json::Value value_of(const toml::node& node) const {
    if (const auto text = node.value_exact<std::string>()) return *text;
    if (const auto number = node.value_exact<int64_t>()) return *number;
    if (const auto flag = node.value_exact<bool>()) return *flag;
    if (const toml::array* array = node.as_array()) {
      json::Value::Array list;
      for (const toml::node& item : *array) list.push_back(value_of(item));
      return list;
    }
    if (const toml::table* table = node.as_table()) {
      json::Value::Object members;
      for (const auto& [key, inner] : *table) members.push_back({std::string(key.str()), value_of(inner)});
      return members;
    }
    throw complain(node, "a value of this type has no meaning here");
  }

  Complaint complain(const toml::node& node, const std::string& what) const {
    return {path_ + ":" + std::to_string(node.source().begin.line) + ": " + what};
  }

  std::string beside(const std::string& name) const {
    if (name.starts_with('/')) return name;
    return (std::filesystem::path(path_).parent_path() / name).string();
  }

 private:
  std::string path_;
};

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// "*_file" members are replaced by what is in the file.
void follow_files(const Converter& converter, const toml::node& node, json::Value& item, StateFile& result) {
  const auto path_of = [&](std::string_view name) -> std::string {
    const std::string* path = item.find_string(name);
    if (path == nullptr) return {};
    if (path->empty()) throw converter.complain(node, std::string(name) + " must name a file");
    return converter.beside(*path);
  };
  if (const std::string path = path_of("password_file"); !path.empty()) {
    const auto text = read_file(path);
    if (!text) throw converter.complain(node, "password_file " + path + " cannot be read");
    item.remove("password_file");
    item.set("password", trimmed(*text));
  }
  if (const std::string path = path_of("jwks_file"); !path.empty()) {
    const auto text = read_file(path);
    auto keys = text ? json::parse(*text) : std::nullopt;
    if (!keys) throw converter.complain(node, "jwks_file " + path + " is no JWK set");
    item.remove("jwks_file");
    item.set("jwks", std::move(*keys));
  }
  if (const std::string path = path_of("secret_file"); !path.empty()) {
    const std::string* id = item.find_string("id");
    if (id != nullptr) result.secret_files.push_back({*id, path});
    item.remove("secret_file");
    if (const auto text = read_file(path)) item.set("secret", trimmed(*text));
  }
}

}  // namespace

Result<StateFile, std::string> read_state_file(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return Refused<std::string>{path + ": cannot be read"};
  try {
    const toml::table parsed = toml::parse(*text, path);
    const Converter converter(path);
    StateFile result;
    // [[user]] in the file is a list of users: singular where one is written, plural where they are counted.
    constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
        {"user", "users"}, {"agent", "agents"}, {"client", "clients"}, {"resource", "resources"}};
    for (const auto& [key, node] : parsed) {
      std::string_view plural;
      for (const auto& [one, many] : kKinds) {
        if (key.str() == one) plural = many;
      }
      if (plural.empty())
        throw converter.complain(node, "unknown key \"" + std::string(key.str()) +
                                           "\" (known are user, agent, client and resource)");
      const toml::array* list = node.as_array();
      if (list == nullptr) throw converter.complain(node, "write [[" + std::string(key.str()) + "]]");
      json::Value::Array items;
      for (const toml::node& entry : *list) {
        json::Value item = converter.value_of(entry);
        follow_files(converter, entry, item, result);
        items.push_back(std::move(item));
      }
      result.state.set(plural, std::move(items));
    }
    if (result.state.is_null()) result.state = json::Value(json::Value::Object{});
    return result;
  } catch (const toml::parse_error& fault) {
    return Refused<std::string>{one_line(path + ":" + std::to_string(fault.source().begin.line) + ": " +
                                         std::string(fault.description()))};
  } catch (const Complaint& complaint) {
    return Refused{one_line(complaint.text)};
  }
}

}  // namespace behalf::app
