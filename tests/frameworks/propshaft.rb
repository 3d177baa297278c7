# Asks Propshaft's own reader of its manifest for the names in the arguments.
library, folder, *names = ARGV

require "json"
require "pathname"

module Propshaft
  module Resolver
  end
end
require "#{library}/propshaft/manifest"
require "#{library}/propshaft/resolver/static"

resolver = Propshaft::Resolver::Static.new manifest_path: Pathname.new(folder).join(".manifest.json"), prefix: "/assets"
puts JSON.generate(names.map { |name| [ resolver.resolve(name), resolver.integrity(name), resolver.read(name)&.bytesize ] })
