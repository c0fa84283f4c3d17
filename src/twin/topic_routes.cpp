#include "twin/topic_routes.h"

namespace penstock::twin {

TopicRoutes::TopicRoutes(std::span<const BindingPtr> bindings) {
  for (const BindingPtr& binding : bindings)
    if (binding->active && !binding->active->topic.empty())
      add(binding->organisation, binding->active);
}

void TopicRoutes::add(OrganisationId organisation,
                      std::shared_ptr<const BindingDocument> document) {
  const auto make_node = [&] {
    nodes_.emplace_back();
    return static_cast<uint32_t>(nodes_.size() - 1);
  };
  const auto pattern = static_cast<uint32_t>(documents_.size());
  const auto [root, fresh] = roots_.try_emplace(organisation.value, 0);
  if (fresh) root->second = make_node();
  uint32_t at = root->second;
  for (const TopicPattern::Level& level : document->topic.levels_) {
    if (level.rest) {
      nodes_[at].rests.push_back(pattern);
      break;
    }
    uint32_t next = 0;
    if (level.literal()) {
      const auto known = nodes_[at].literal.find(level.prefix);
      next = known != nodes_[at].literal.end() ? known->second : make_node();
      nodes_[at].literal[level.prefix] = next;
    } else {
      next = nodes_[at].any != 0 ? nodes_[at].any : make_node();
      nodes_[at].any = next;
    }
    at = next;
    if (&level == &document->topic.levels_.back()) nodes_[at].ends.push_back(pattern);
  }
  documents_.push_back(std::move(document));
  ++count_;
}

const BindingDocument* TopicRoutes::first_match(const std::vector<uint32_t>& patterns,
                                                std::string_view topic,
                                                TopicPattern::Captures& captures) const {
  for (const uint32_t pattern : patterns)
    if (documents_[pattern]->topic.match(topic, captures)) return documents_[pattern].get();
  return nullptr;
}

// As deep as the patterns are, 32 levels; each node is seen at most once a topic.
const BindingDocument* TopicRoutes::walk(uint32_t index, std::string_view topic, size_t at,
                                         TopicPattern::Captures& captures) const {
  const Node& node = nodes_[index];
  if (at <= topic.size()) {
    const size_t end = std::min(topic.find('/', at), topic.size());
    if (const auto next = node.literal.find(topic.substr(at, end - at)); next != node.literal.end())
      if (const auto* found = walk(next->second, topic, end + 1, captures)) return found;
    if (node.any != 0)
      if (const auto* found = walk(node.any, topic, end + 1, captures)) return found;
  } else if (const auto* found = first_match(node.ends, topic, captures)) {
    return found;
  }
  return first_match(node.rests, topic, captures);
}

const BindingDocument* TopicRoutes::find(OrganisationId organisation, std::string_view topic,
                                         std::string& device) const {
  if (count_ == 0 || topic.starts_with('$')) return nullptr;
  const auto root = roots_.find(organisation.value);
  if (root == roots_.end()) return nullptr;
  TopicPattern::Captures captures;
  const BindingDocument* found = walk(root->second, topic, 0, captures);
  if (!found) return nullptr;
  device.clear();
  found->device.expand(captures, device);
  return found;
}

}  // namespace penstock::twin
