#pragma once
// The objects of the peer's device: Security 0, Server 1, Device 3, Firmware 5, Temperature 3303,
// Pressure 3323, with their resources, values and attributes. OMA LwM2M core 1.1.1, appendix E;
// IPSO.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codec.h"

namespace lwm2m_peer {

enum Access { kRead = 1, kWrite = 2, kExecute = 4 };

struct ResourceKind {
  int object, id;
  Type type;
  int access;
  bool multiple = false;
};
/// Null where such a resource is not defined.
const ResourceKind* kind_of(const Path& resource);
Type type_of(const Path& resource);
bool is_multiple(const Path& resource);

/// An answer of the device management interface; the code as CoAP's dotted one times 100: 205.
struct Refused {
  int code;
};

class Objects {
 public:
  Objects();

  void set(const Path& path, Value value);
  [[nodiscard]] const Value* get(const Path& resource) const;
  [[nodiscard]] bool exists(const Path& path) const;
  /// Readable records below a path, in order. Throws Refused.
  [[nodiscard]] std::vector<Record> read(const Path& path, bool bootstrap) const;
  /// Throws Refused when a record may not be written. `replace`: what is not in it goes.
  void write(const Path& base, const std::vector<Record>& records, bool replace, bool bootstrap);
  /// A new instance; its id when `instance` is -1.
  int create(int object, int instance, const std::vector<Record>& records);
  void erase(const Path& path, bool bootstrap);
  [[nodiscard]] std::vector<int> instances(int object) const;

  void set_attributes(const Path& path, std::string_view query);
  /// What holds for a path: its own, else those of what is above it (clause 5.1.2).
  [[nodiscard]] std::map<std::string, double> attributes(const Path& path) const;
  /// CoRE link format; of the registration when `path` is empty and not `bootstrap`.
  [[nodiscard]] std::string links(const Path& path, bool bootstrap) const;

 private:
  std::map<Path, Value> values_;
  std::map<Path, int> instances_;  ///< objects' instances; the value is not used
  std::map<Path, std::map<std::string, double>> attributes_;
};

}  // namespace lwm2m_peer
