#include "objects.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace lwm2m_peer {
namespace {

constexpr int kRw = kRead | kWrite;

// Access of Security is "none" in the registry: only a bootstrap server reads and writes it.
constexpr ResourceKind kKinds[] = {
    {0, 0, Type::kString, 0},
    {0, 1, Type::kBoolean, 0},
    {0, 2, Type::kInteger, 0},
    {0, 3, Type::kOpaque, 0},
    {0, 4, Type::kOpaque, 0},
    {0, 5, Type::kOpaque, 0},
    {0, 10, Type::kInteger, 0},
    {0, 11, Type::kInteger, 0},
    {1, 0, Type::kInteger, kRead},
    {1, 1, Type::kInteger, kRw},
    {1, 2, Type::kInteger, kRw},
    {1, 3, Type::kInteger, kRw},
    {1, 4, Type::kNone, kExecute},
    {1, 5, Type::kInteger, kRw},
    {1, 6, Type::kBoolean, kRw},
    {1, 7, Type::kString, kRw},
    {1, 8, Type::kNone, kExecute},
    {1, 23, Type::kBoolean, kRw},
    {3, 0, Type::kString, kRead},
    {3, 1, Type::kString, kRead},
    {3, 2, Type::kString, kRead},
    {3, 3, Type::kString, kRead},
    {3, 4, Type::kNone, kExecute},
    {3, 5, Type::kNone, kExecute},
    {3, 6, Type::kInteger, kRead, true},
    {3, 7, Type::kInteger, kRead, true},
    {3, 9, Type::kInteger, kRead},
    {3, 10, Type::kInteger, kRead},
    {3, 11, Type::kInteger, kRead, true},
    {3, 12, Type::kNone, kExecute},
    {3, 13, Type::kTime, kRw},
    {3, 14, Type::kString, kRw},
    {3, 15, Type::kString, kRw},
    {3, 16, Type::kString, kRead},
    {5, 0, Type::kOpaque, kWrite},
    {5, 1, Type::kString, kRw},
    {5, 2, Type::kNone, kExecute},
    {5, 3, Type::kInteger, kRead},
    {5, 5, Type::kInteger, kRead},
    {5, 6, Type::kString, kRead},
    {5, 7, Type::kString, kRead},
    {5, 8, Type::kInteger, kRead, true},
    {5, 9, Type::kInteger, kRead},
    {3303, 5700, Type::kFloat, kRead},
    {3303, 5701, Type::kString, kRead},
    {3303, 5601, Type::kFloat, kRead},
    {3303, 5602, Type::kFloat, kRead},
    {3303, 5603, Type::kFloat, kRead},
    {3303, 5604, Type::kFloat, kRead},
    {3303, 5605, Type::kNone, kExecute},
    {3303, 5750, Type::kString, kRw},
    {3323, 5700, Type::kFloat, kRead},
    {3323, 5701, Type::kString, kRead},
    {3323, 5601, Type::kFloat, kRead},
    {3323, 5602, Type::kFloat, kRead},
    {3323, 5605, Type::kNone, kExecute},
    {3323, 5750, Type::kString, kRw},
};

Path instance_of(const Path& path) { return {{path.ids[0], path.ids[1]}}; }
Path resource_of(const Path& path) { return {{path.ids[0], path.ids[1], path.ids[2]}}; }

}  // namespace

const ResourceKind* kind_of(const Path& resource) {
  if (resource.ids.size() < 3) return nullptr;
  const auto* found =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const ResourceKind& kind) {
        return kind.object == resource.ids[0] && kind.id == resource.ids[2];
      });
  return found == std::end(kKinds) ? nullptr : found;
}
Type type_of(const Path& resource) {
  const ResourceKind* kind = kind_of(resource);
  return kind ? kind->type : Type::kOpaque;
}
bool is_multiple(const Path& resource) {
  const ResourceKind* kind = kind_of(resource);
  return kind && kind->multiple;
}

Objects::Objects() {
  const auto put = [&](const char* path, Value value) { set(Path::parse(path), std::move(value)); };
  put("/1/0/0", Value::of_integer(1));
  put("/1/0/1", Value::of_integer(60));
  put("/1/0/2", Value::of_integer(0));
  put("/1/0/3", Value::of_integer(0));
  put("/1/0/6", Value::of_boolean(true));
  put("/1/0/7", Value::of_string("U"));
  put("/3/0/0", Value::of_string("Penstock works"));
  put("/3/0/1", Value::of_string("Interoperability peer"));
  put("/3/0/2", Value::of_string("SN-0001"));
  put("/3/0/3", Value::of_string("1.0"));
  put("/3/0/6/0", Value::of_integer(1));
  put("/3/0/6/1", Value::of_integer(5));
  put("/3/0/7/0", Value::of_integer(3800));
  put("/3/0/7/1", Value::of_integer(5000));
  put("/3/0/9", Value::of_integer(100));
  put("/3/0/10", Value::of_integer(15));
  put("/3/0/11/0", Value::of_integer(0));
  put("/3/0/13", Value::of_integer(1367491215, Type::kTime));
  put("/3/0/14", Value::of_string("+02:00"));
  put("/3/0/15", Value::of_string("Europe/Berlin"));
  put("/3/0/16", Value::of_string("U"));
  put("/5/0/1", Value::of_string(""));
  put("/5/0/3", Value::of_integer(0));
  put("/5/0/5", Value::of_integer(0));
  put("/5/0/6", Value::of_string("peer"));
  put("/5/0/7", Value::of_string("1.0"));
  put("/5/0/8/0", Value::of_integer(0));
  put("/5/0/8/1", Value::of_integer(1));
  put("/5/0/9", Value::of_integer(2));
  put("/3303/0/5700", Value::of_float(21.5));
  put("/3303/0/5701", Value::of_string("Cel"));
  put("/3303/0/5601", Value::of_float(21.5));
  put("/3303/0/5602", Value::of_float(21.5));
  put("/3303/0/5750", Value::of_string("oil"));
  put("/3323/0/5700", Value::of_float(7.1));
  put("/3323/0/5701", Value::of_string("bar"));
  put("/3323/0/5750", Value::of_string("discharge"));
}

void Objects::set(const Path& path, Value value) {
  instances_[instance_of(path)] = 0;
  values_[path] = std::move(value);
}

const Value* Objects::get(const Path& resource) const {
  const auto found = values_.find(resource);
  return found == values_.end() ? nullptr : &found->second;
}

bool Objects::exists(const Path& path) const {
  if (path.ids.empty()) return true;
  const auto below = [&](const auto& map) {
    const auto next = map.lower_bound(path);
    return next != map.end() && path.covers(next->first);
  };
  if (below(values_) || below(instances_)) return true;
  // Resources without a value: executable ones.
  return path.ids.size() == 3 && instances_.contains(instance_of(path)) && kind_of(path);
}

std::vector<int> Objects::instances(int object) const {
  std::vector<int> out;
  for (const auto& [path, unused] : instances_)
    if (path.ids[0] == object) out.push_back(path.ids[1]);
  return out;
}

std::vector<Record> Objects::read(const Path& path, bool bootstrap) const {
  if (!exists(path)) throw Refused{404};
  if (!path.ids.empty() && path.ids[0] == 0 && !bootstrap) throw Refused{401};
  std::vector<Record> out;
  for (auto next = values_.lower_bound(path); next != values_.end() && path.covers(next->first);
       ++next) {
    const ResourceKind* kind = kind_of(next->first);
    if (bootstrap || (kind && kind->access & kRead)) out.push_back({next->first, next->second, {}});
  }
  if (out.empty() && path.ids.size() >= 3) throw Refused{405};
  return out;
}

void Objects::write(const Path& base, const std::vector<Record>& records, bool replace,
                    bool bootstrap) {
  for (const Record& record : records) {
    if (record.path.ids.size() < 3 || !base.covers(record.path)) throw Refused{400};
    const ResourceKind* kind = kind_of(record.path);
    if (!kind) throw Refused{404};
    if (!bootstrap && !instances_.contains(instance_of(record.path))) throw Refused{404};
    if (!bootstrap && !(kind->access & kWrite)) throw Refused{405};
    convert(record.value, kind->type);
  }
  if (replace && bootstrap && base.ids.size() <= 2) erase(base, true);
  for (const Record& record : records) {
    const Path resource = resource_of(record.path);
    if (replace && is_multiple(resource))
      std::erase_if(values_, [&](const auto& one) {
        return resource.covers(one.first) && one.first != resource;
      });
  }
  for (const Record& record : records)
    set(record.path, convert(record.value, type_of(record.path)));
}

int Objects::create(int object, int instance, const std::vector<Record>& records) {
  if (object != 3303 && object != 3323 && object != 1) throw Refused{405};
  if (instance < 0)
    for (instance = 0; instances_.contains(Path{{object, instance}});) ++instance;
  if (instances_.contains(Path{{object, instance}})) throw Refused{400};
  instances_[Path{{object, instance}}] = 0;
  for (const Record& record : records) {
    const Path path{{object, instance, record.path.ids.at(2)}};
    const ResourceKind* kind = kind_of(path);
    if (!kind) throw Refused{400};
    set(path, convert(record.value, kind->type));
  }
  return instance;
}

void Objects::erase(const Path& path, bool bootstrap) {
  if (!bootstrap && (path.ids.size() != 2 || (path.ids[0] != 3303 && path.ids[0] != 3323)))
    throw Refused{405};
  if (!bootstrap && !exists(path)) throw Refused{404};
  // A bootstrap delete of all leaves the device and the account of the bootstrap server
  // (clause 6.1.7.5).
  const auto stays = [&](const Path& one) {
    if (!path.covers(one) || one.ids[0] == 3 || one.ids[0] == 5) return true;
    if (one.ids[0] != 0) return false;
    const Value* bootstrap_server = get(Path{{0, one.ids[1], 1}});
    return bootstrap_server && bootstrap_server->boolean;
  };
  std::erase_if(instances_, [&](const auto& one) { return !stays(one.first); });
  std::erase_if(values_,
                [&](const auto& one) { return !instances_.contains(instance_of(one.first)); });
  std::erase_if(attributes_, [&](const auto& one) { return path.covers(one.first); });
}

void Objects::set_attributes(const Path& path, std::string_view query) {
  if (!exists(path)) throw Refused{404};
  const size_t equals = query.find('=');
  const std::string name(query.substr(0, equals));
  if (name != "pmin" && name != "pmax" && name != "epmin" && name != "epmax" && name != "gt" &&
      name != "lt" && name != "st")
    throw Refused{400};
  auto& mine = attributes_[path];
  if (equals == std::string_view::npos) {
    mine.erase(name);
    return;
  }
  const std::string_view text = query.substr(equals + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) throw Refused{400};
  mine[name] = value;
}

std::map<std::string, double> Objects::attributes(const Path& path) const {
  std::map<std::string, double> out;
  Path at;
  for (size_t depth = 0; depth <= path.ids.size(); ++depth) {
    if (const auto found = attributes_.find(at); found != attributes_.end())
      for (const auto& [name, value] : found->second) out[name] = value;
    if (depth < path.ids.size()) at.ids.push_back(path.ids[depth]);
  }
  return out;
}

std::string Objects::links(const Path& path, bool bootstrap) const {
  std::string out;
  const auto add = [&](const Path& one, const std::string& more = {}) {
    out += (out.empty() ? "<" : ",<") + one.text() + ">" + more;
  };
  const auto own = [&](const Path& one) {
    std::string text;
    if (const auto found = attributes_.find(one); found != attributes_.end())
      for (const auto& [name, value] : found->second)
        text += ";" + name + "=" + text_encode(Value::of_float(value));
    return text;
  };
  if (bootstrap) {
    out = "</>;lwm2m=1.1";
    for (const auto& [instance, unused] : instances_)
      if (path.covers(instance)) {
        const Value* id = get(instance.then(instance.ids[0] == 0 ? 10 : 0));
        const bool named = id && instance.ids[0] < 2;
        add(instance, named ? ";ssid=" + std::to_string(id->integer) : "");
      }
    return out;
  }
  if (path.ids.empty()) {
    out = R"(</>;rt="oma.lwm2m";ct="60 110 112 11542")";
    for (const auto& [instance, unused] : instances_)
      if (instance.ids[0] != 0) add(instance);
    return out;
  }
  if (!exists(path)) throw Refused{404};
  if (path.ids.size() == 1) add(path, own(path));
  if (path.ids.size() == 3) {
    auto held = attributes(path);
    std::string text;
    for (const auto& [name, value] : held)
      text += ";" + name + "=" + text_encode(Value::of_float(value));
    add(path, text);
    return out;
  }
  for (const auto& [instance, unused] : instances_) {
    if (!path.covers(instance)) continue;
    add(instance, own(instance));
    for (const ResourceKind& kind : kKinds) {
      const Path resource = instance.then(kind.id);
      if (kind.object != instance.ids[0]) continue;
      const auto next = values_.lower_bound(resource);
      const bool has = next != values_.end() && resource.covers(next->first);
      const auto many = std::count_if(values_.begin(), values_.end(),
                                      [&](const auto& one) { return resource.covers(one.first); });
      if (has || kind.access == kExecute)
        add(resource, (kind.multiple ? ";dim=" + std::to_string(many) : "") + own(resource));
    }
  }
  return out;
}

}  // namespace lwm2m_peer
