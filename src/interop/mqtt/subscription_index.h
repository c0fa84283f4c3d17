#pragma once
// Who wants what: a tree of topic levels. Every shard holds the whole of it; changes reach all
// shards before SUBACK.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace penstock::interop::mqtt {

struct SubscriptionOptions {
  uint8_t qos = 0;
  bool no_local = false, retain_as_published = false;
  uint8_t retain_handling = 0;
  uint32_t id = 0;  ///< subscription identifier; 0: none
};

/// A session as the others see it. Shared by its entries in this replica of the index.
struct Subscriber {
  std::string client_id;
  uint32_t shard = 0;
  bool persistent = false;  ///< keeps messages over a disconnect and a restart
  bool connected = false;
};

/// One shard's replica. That shard's thread.
class SubscriptionIndex {
 public:
  struct Entry {
    std::shared_ptr<Subscriber> subscriber;  ///< shared: a session's facts change in one place
    std::string group;                       ///< of a shared subscription; else empty
    SubscriptionOptions options;
  };

  /// `filter` without "$share/group/". True where it is new, false where it replaced one.
  bool add(std::string_view filter, Entry entry);
  bool remove(std::string_view filter, std::string_view group, std::string_view client_id);
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] size_t size() const { return size_; }

  /// Calls `visit` for every entry that matches. A client with overlapping filters comes once a
  /// filter.
  template <class Visit>
  void match(std::string_view topic, Visit&& visit) const {
    if (size_ == 0) return;
    walk(root_, topic, topic.starts_with('$'), visit);
  }
  /// The next number of a group's round robin; of this replica.
  uint32_t next_turn(std::string_view group, std::string_view filter);

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Node {
    std::unordered_map<std::string, std::unique_ptr<Node>, TextHash, std::equal_to<>> children;
    std::vector<Entry> here;       ///< filters that end here
    std::vector<Entry> all_below;  ///< filters that end here with '#'
    [[nodiscard]] bool unused() const {
      return children.empty() && here.empty() && all_below.empty();
    }
  };

  template <class Visit>
  static void walk(const Node& node, std::string_view rest, bool hidden, Visit& visit) {
    if (!hidden)
      for (const Entry& entry : node.all_below) visit(entry);
    const size_t slash = rest.find('/');
    const std::string_view level = rest.substr(0, slash);
    const auto step = [&](std::string_view name) {
      const auto it = node.children.find(name);
      if (it == node.children.end()) return;
      if (slash != std::string_view::npos) {
        walk(*it->second, rest.substr(slash + 1), false, visit);
        return;
      }
      for (const Entry& entry : it->second->here) visit(entry);
      for (const Entry& entry : it->second->all_below) visit(entry);  // "a/#" matches "a"
    };
    step(level);
    if (!hidden) step("+");
  }

  Node root_;
  size_t size_ = 0;
  std::unordered_map<std::string, uint32_t> turns_;
};

}  // namespace penstock::interop::mqtt
