//! Resolves the networks that a program may connect to.

use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::schema::value::TextOr;
use crate::server::Egress;

/// Where a program may connect to.
pub(crate) fn egress(scope: &mut Scope<'_>, said: Option<&TextOr<Vec<String>>>) -> Egress {
    let path = scope.path.key("egress");
    match said {
        None => Egress::default(),
        Some(TextOr::Text(text)) => match text.0.as_str() {
            "all" => Egress::All,
            "public" => Egress::Public,
            "none" => Egress::None,
            one => {
                scope.check(&path, check::network(one));
                Egress::Only(vec![one.to_owned()])
            }
        },
        Some(TextOr::Other(networks)) => {
            for (index, network) in networks.iter().enumerate() {
                scope.check(&path.index(index), check::network(network));
            }
            Egress::Only(networks.clone())
        }
    }
}
