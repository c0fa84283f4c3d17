#include "interop/mqtt/subscription_index.h"

#include <algorithm>

namespace penstock::interop::mqtt {

bool SubscriptionIndex::add(std::string_view filter, Entry entry) {
  Node* node = &root_;
  bool below = false;
  for (bool last = false; !last;) {
    const size_t slash = filter.find('/');
    last = slash == std::string_view::npos;
    const std::string_view level = filter.substr(0, slash);
    if (last && level == "#") {
      below = true;
      break;
    }
    auto it = node->children.find(level);
    if (it == node->children.end())
      it = node->children.emplace(std::string(level), std::make_unique<Node>()).first;
    node = it->second.get();
    if (!last) filter.remove_prefix(slash + 1);
  }
  auto& entries = below ? node->all_below : node->here;
  for (Entry& old : entries) {
    if (old.group != entry.group || old.subscriber->client_id != entry.subscriber->client_id)
      continue;
    old = std::move(entry);
    return false;
  }
  entries.push_back(std::move(entry));
  ++size_;
  return true;
}

bool SubscriptionIndex::remove(std::string_view filter, std::string_view group,
                               std::string_view client_id) {
  std::vector<std::pair<Node*, std::string>> path;
  Node* node = &root_;
  bool below = false;
  for (bool last = false; !last;) {
    const size_t slash = filter.find('/');
    last = slash == std::string_view::npos;
    const std::string_view level = filter.substr(0, slash);
    if (last && level == "#") {
      below = true;
      break;
    }
    const auto it = node->children.find(level);
    if (it == node->children.end()) return false;
    path.emplace_back(node, std::string(level));
    node = it->second.get();
    if (!last) filter.remove_prefix(slash + 1);
  }
  auto& entries = below ? node->all_below : node->here;
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) {
    return e.group == group && e.subscriber->client_id == client_id;
  });
  if (it == entries.end()) return false;
  entries.erase(it);
  --size_;
  for (; !path.empty() && node->unused(); path.pop_back()) {  // leave no empty branches behind
    node = path.back().first;
    node->children.erase(path.back().second);
  }
  return true;
}

uint32_t SubscriptionIndex::next_turn(std::string_view group, std::string_view filter) {
  return turns_[std::string(group) + '/' + std::string(filter)]++;
}

}  // namespace penstock::interop::mqtt
